# Step imbalance over time. Usage: gnuplot -c imbalance_over_time.gp TABLE.tsv FIGURE.pdf
# Lines are the medians of bins of steps; whiskers at the markers are the range of that bin's steps,
# those of each strategy a little further on, because bands of close strategies would blend. Ticks
# below 1 mark when plans took effect, a row a strategy; what is shaded isn't part of the summaries.
folder = ARG0[1 : strlen(ARG0) - strlen("imbalance_over_time.gp")]
table = ARG1; figure = ARG2
first = 4; stride = 4; with_legend = 1
height(n) = 1.9
load folder . "style.gp"

median(i) = first + (i - 1) * stride
low(i) = median(i) + 1
high(i) = median(i) + 2
plans(i) = median(i) + 3
x(unused) = column(1) + (column(2) - 1) / 2.0

# The scored steps decide the range: before the first plan a start-up may tower over all that follows.
top = 1
do for [i = 1 : n] {
  stats table skip 1 using (column(3) > 0 && column(high(i)) > top ? (top = column(high(i))) : 0) nooutput
}
top = top > 1.02 ? top : 1.02
scored_from = 0
last = 0
stats table skip 1 using (column(3) > 0 ? 0 : (scored_from = column(1) + column(2))) nooutput
stats table skip 1 using (column(3) > 0 && column(3) < column(2) ? (scored_from = column(1) + column(2) - column(3)) : 0) nooutput
stats table skip 1 using (last = column(1) + column(2)) nooutput

row = 0.05 / n * (top - 1)
bottom = 1 - 0.06 * (top - 1)
set xrange [0 : last]
set yrange [bottom : 1 + 1.03 * (top - 1)]
set label 1 "step (shaded: not scored; whiskers: range of a bin)" center at graph 0.5, screen down(tall - 0.08)
set label 3 "step imbalance (max / mean)" center rotate at screen across(0.11), graph 0.5
if (scored_from > 0) {
  set object 1 rectangle from 0, graph 0 to scored_from, graph 1 behind fc rgb "#E8E8E8" fs solid noborder
}
every_marker = n_rows / 7 > 1 ? n_rows / 7 : 1
offset_marker(i) = (i - 1) * every_marker / n + every_marker / 3

readout = "x=step wide=steps"
plot 1 with lines lc rgb "#404040" lw 0.5, \
     for [i = 1 : n] table skip 1 using (column(plans(i)) > 0 ? x(0) : NaN):(1 - 0.005 * (top - 1) - i * row):(0):(0.9 * row) \
       with vectors nohead lc rgb colour[i] lw 0.6, \
     for [i = 1 : n] table skip 1 using (x(0)):(column(median(i))) with lines ls style[i], \
     for [i = 1 : n] table skip 1 every every_marker::offset_marker(i) using (x(0)):(column(median(i))) \
       with points ls style[i], \
     for [i = 1 : n] table skip 1 every every_marker::offset_marker(i) \
       using (x(0)):(column(low(i))):(0):(column(high(i)) - column(low(i))) \
       with vectors heads size screen 0.006,90 lc rgb colour[i] lw 0.6 dt 1
