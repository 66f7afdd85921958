# Distribution of step imbalance. Usage: gnuplot -c imbalance_cdf.gp TABLE.tsv FIGURE.pdf
# The fraction of the scored steps with at most that imbalance.
folder = ARG0[1 : strlen(ARG0) - strlen("imbalance_cdf.gp")]
table = ARG1; figure = ARG2
first = 2; stride = 1; with_legend = 1
height(n) = 1.8
load folder . "style.gp"

column_of(i) = first + i - 1
low = 1e300
high = 1
do for [i = 1 : n] {
  stats table skip 1 using (column(column_of(i)) < low ? (low = column(column_of(i))) : 0, \
                            column(column_of(i)) > high ? (high = column(column_of(i))) : 0) nooutput
}
low = low > high ? high : low
set xrange [low : high - low > 0.02 ? high : low + 0.02]
set yrange [0 : 1]
set ytics 0.25
set format y "%.2f"
set grid x
set label 1 "step imbalance (max / mean GPU load)" center at graph 0.5, screen down(tall - 0.08)
set label 3 "fraction of scored steps" center rotate at screen across(0.11), graph 0.5

# Markers at every tenth of the steps, those of each strategy a little further on.
every_marker = (n_rows - 1) / 8
offset_marker(i) = i * every_marker / (n + 1)
readout = "y=fraction"
plot for [i = 1 : n] table skip 1 using (column(column_of(i))):1 with lines ls style[i], \
     for [i = 1 : n] table skip 1 every every_marker::offset_marker(i) using (column(column_of(i))):1 \
       with points ls style[i]
