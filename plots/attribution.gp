# Where the imbalance comes from. Usage: gnuplot -c attribution.gp TABLE.tsv FIGURE.pdf
# A panel a strategy, stacked along one y axis, panel i with its 0 at base(i): an interval's parts are
# boxes upon each other, negative ones below 0; the line is their sum, the excess.
folder = ARG0[1 : strlen(ARG0) - strlen("attribution.gp")]
table = ARG1; figure = ARG2
n_parts = 7
first = 3; stride = 8; with_legend = 0
panel(n) = n > 4 ? 0.75 : n > 2 ? 1.0 : 1.5
gap = 0.17
legend_line = 0.13
height(n) = 0.48 + 2 * legend_line + 0.08 + (panel(n) + gap) * n
load folder . "style.gp"

array part[n_parts] = ["granularity", "hierarchy", "packing", "noise", "staleness", "delay", "dispatch"]
array shade[n_parts] = [0x444444, 0x999933, 0x0072B2, 0x56B4E9, 0xD55E00, 0xCC79A7, 0xE6C35C]
sum_to(i, k) = (sum [q = 1 : k] (column(first + (i - 1) * stride + q) > 0 ? column(first + (i - 1) * stride + q) : 0))
sum_below(i, k) = (sum [q = 1 : k] (column(first + (i - 1) * stride + q) < 0 ? column(first + (i - 1) * stride + q) : 0))
amount(i, k) = column(first + (i - 1) * stride + k)
high(i, k) = amount(i, k) > 0 ? sum_to(i, k) : sum_below(i, k - 1)
low(i, k) = amount(i, k) > 0 ? sum_to(i, k - 1) : sum_below(i, k)
excess(i) = column(first + (i - 1) * stride)

top = 0.0
bottom = 0.0
last = 0
begin = 1e300
do for [i = 1 : n] {
  stats table skip 1 using (top = sum_to(i, n_parts) > top ? sum_to(i, n_parts) : top, \
                            bottom = sum_below(i, n_parts) < bottom ? sum_below(i, n_parts) : bottom) nooutput
}
stats table skip 1 using (last = column(1) + column(2), begin = column(1) < begin ? column(1) : begin) nooutput
top = top > 0 ? 1.05 * top : 0.01
bottom = 1.05 * bottom
span = top - bottom
space = span * gap / panel(n)
base(i) = (n - i) * (span + space) - bottom

# Panels' own scales at the left: a handful of ticks each.
raw = span / (panel(n) > 1 ? 5.0 : 3.5)
power = 10 ** floor(log10(raw))
unit = raw / power < 1.5 ? power : raw / power < 3.5 ? 2 * power : raw / power < 7.5 ? 5 * power : 10 * power

set xrange [begin : last]
set yrange [0 : base(1) + top + space]
set border 0
unset grid
set ytics scale 0.5 ()
set xtics scale 0.5
set tmargin at screen down(0.06 + 2 * legend_line)
set bmargin at screen down(tall - 0.36)
do for [i = 1 : n] {
  do for [k = ceil(bottom / unit) : floor(top / unit)] { set ytics add (sprintf("%g", k * unit) base(i) + k * unit) }
  set arrow 100 + i from graph 0, first base(i) to graph 1, first base(i) nohead front lc rgb "#404040" lw 0.6
  set arrow 300 + i from graph 0, first base(i) + bottom to graph 0, first base(i) + top nohead lc rgb "#404040" lw 0.6
  set label 100 + i label[i] at graph 0, first base(i) + top left offset 0.3,0.45
}
# The legend: boxes, in two rows.
array at_x[n_parts]
x_next = 0.52
do for [k = 1 : n_parts] {
  if (k == 5) { x_next = 0.52 }
  at_x[k] = x_next
  y = 0.07 + (k > 4 ? legend_line : 0)
  set object 500 + k rectangle from screen across(x_next), screen down(y + 0.035) to screen across(x_next + 0.1), screen down(y - 0.035) \
    front fc rgb shade[k] fs solid noborder
  set label 500 + k part[k] at screen across(x_next + 0.14), screen down(y) left
  x_next = x_next + 0.14 + text_width(part[k]) + 0.12
}
set label 1 "step (parts, from below, in the legend's order)" center at graph 0.5, screen down(tall - 0.08)
set label 3 "excess (max / mean - 1)" center rotate at screen across(0.11), graph 0.5

readout = sprintf("x=step wide=steps panel=%g", span + space)
plot for [i = 1 : n] for [k = 1 : n_parts] table skip 1 \
       using (column(1) + column(2) / 2.0):(base(i)):(column(1)):(column(1) + column(2)): \
             (base(i) + low(i, k)):(base(i) + high(i, k)) \
       with boxxyerror fc rgb shade[k] fs solid noborder, \
     for [i = 1 : n] table skip 1 using (column(1)):(base(i) + excess(i)):(column(2)):(0) \
       with vectors nohead lc rgb "#000000" lw 0.8 dt 1
