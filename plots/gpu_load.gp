# Load of a layer's GPUs before and after a plan. Usage: gnuplot -c gpu_load.gp TABLE.tsv FIGURE.pdf
# A panel a strategy: grey bars are the GPUs' loads under the placement before the plan, the line in
# the strategy's colour under the plan; each sorted, as shares of their mean. The panels are stacked
# along one y axis, panel i from base(i) upwards.
folder = ARG0[1 : strlen(ARG0) - strlen("gpu_load.gp")]
table = ARG1; figure = ARG2
first = 2; stride = 5; with_legend = 0
panel(n) = n > 6 ? 0.55 : 0.75
gap = 0.17
height(n) = 0.48 + (panel(n) + gap) * n
load folder . "style.gp"

after(i) = first + (i - 1) * stride
before(i) = after(i) + 1
top = 1.0
do for [i = 1 : n] {
  stats table skip 1 using (column(after(i)) > top ? (top = column(after(i))) : 0, \
                            column(before(i)) > top ? (top = column(before(i))) : 0) nooutput
}
top = 1.05 * top
space = top * gap / panel(n)
base(i) = (n - i) * (top + space)

array plan[n]
array step[n]
array layer[n]
do for [i = 1 : n] {
  stats table skip 1 every ::0::0 using (plan[i] = column(after(i) + 2), step[i] = column(after(i) + 3), \
                                         layer[i] = column(after(i) + 4)) nooutput
}
set xrange [0.3 : n_rows + 0.7]
set yrange [0 : base(1) + top + space]
set border 0
unset grid
set ytics scale 0.5 ()
set xtics scale 0.5 ("1" 1)
do for [k = 1 : 8] { tick = k * ceil(n_rows / 8.0); if (tick <= n_rows && tick > 1) { set xtics add (sprintf("%d", tick) tick) } }
set tmargin at screen down(0.02)
set bmargin at screen down(tall - 0.36)
unit = top > 4 ? 2 : top > 1.6 ? 1 : 0.5
do for [i = 1 : n] {
  do for [k = 0 : int(top / unit)] { set ytics add (sprintf("%g", k * unit) base(i) + k * unit) }
  set arrow 100 + i from graph 0, first base(i) to graph 1, first base(i) nohead lc rgb "#404040" lw 0.6
  set arrow 300 + i from graph 0, first base(i) to graph 0, first base(i) + top nohead lc rgb "#404040" lw 0.6
  set arrow 200 + i from graph 0, first base(i) + 1 to graph 1, first base(i) + 1 nohead back lc rgb "#404040" lw 0.5 dt (2,2)
  set label 100 + i sprintf("%s: plan %d at step %d, layer %d", label[i], plan[i], step[i], layer[i]) \
    at graph 0, first base(i) + top left offset 0.3,0.45
}
set label 1 "GPU, the fullest first (grey: before the plan; line: after)" center at screen 0.5, screen down(tall - 0.08)
set label 3 "GPU load / mean" center rotate at screen across(0.11), graph 0.5

half = n_rows > 40 ? 0.5 : 0.4
readout = sprintf("x=gpu panel=%g", top + space)
plot for [i = 1 : n] table skip 1 \
       using 1:(base(i)):(column(1) - half):(column(1) + half):(base(i)):(base(i) + column(before(i))) \
       with boxxyerror fc rgb "#C8C8C8" fs solid noborder, \
     for [i = 1 : n] table skip 1 using (column(1) - 0.5):(base(i) + column(after(i))):(1):(0) \
       with vectors nohead lc rgb colour[i] lw 1.8 dt 1
