# Imbalance by interval and window. Usage: gnuplot -c interval_window.gp TABLE.tsv FIGURE.pdf
# A panel a strategy, on one colour scale, stacked along one y axis; in each field the mean, and under
# it half the width of its 95 % interval. Fields are of one size, whatever the steps between them.
folder = ARG0[1 : strlen(ARG0) - strlen("interval_window.gp")]
table = ARG1; figure = ARG2
first = 3; stride = 4; with_legend = 0
# Rows are not known before the table is read: style.gp calls this after it has.
row_height = 0.24
gap = 0.2
count(c) = (seen = " ", distinct = 0, 0)
panels(n) = n - n_references
height(n) = 0.86 + (row_height * n_windows + gap) * panels(n)

# The different intervals and windows, and the references among the strategies, which have no panel.
set datafile separator tab
array interval[64]
array window[64]
n_intervals = 0
n_windows = 0
n_references = 0
find_interval(v) = (found = 0, sum [k = 1 : n_intervals] (interval[k] == v ? (found = k) : 0), found)
find_window(v) = (found = 0, sum [k = 1 : n_windows] (window[k] == v ? (found = k) : 0), found)
note_interval(v) = find_interval(v) > 0 || n_intervals >= 64 ? 0 : (n_intervals = n_intervals + 1, interval[n_intervals] = v)
note_window(v) = find_window(v) > 0 || n_windows >= 64 ? 0 : (n_windows = n_windows + 1, window[n_windows] = v)
stats table skip 1 using (note_interval(column(1)), note_window(column(2)), 0) nooutput
n_fields = STATS_columns
set table $nothing
plot table every ::0::0 using (sum [i = 0 : (n_fields - first) / stride] \
  (strcol(first + i * stride) eq "none" || strcol(first + i * stride) eq "hindsight" ? (n_references = n_references + 1) : 0))
unset table
load folder . "style.gp"

# Rows come sorted by interval, then by window: the windows of the first interval may not be all.
do for [a = 1 : n_windows] { do for [b = a + 1 : n_windows] {
  if (window[b] < window[a]) { swap = window[a]; window[a] = window[b]; window[b] = swap }
} }
mean(i) = first + (i - 1) * stride
half(i) = (column(mean(i) + 2) - column(mean(i) + 1)) / 2
array place[n]
shown = 0
least = 1e300; most = 0
do for [i = 1 : n] {
  place[i] = 0
  if (style[i] <= n_styles) {
    shown = shown + 1
    place[i] = shown
    stats table skip 1 using (column(mean(i)) < least ? (least = column(mean(i))) : 0, \
                              column(mean(i)) > most ? (most = column(mean(i))) : 0) nooutput
  }
}
# gnuplot ends at a series of labels without a label, so that only those that have some are drawn.
array drawn[n]
drawn[1] = 1
n_drawn = 0
has_spread = 0
do for [i = 1 : n] {
  if (place[i] > 0) {
    some = 0
    stats table skip 1 using (column(mean(i)) > 0 ? (some = 1) : 0) nooutput
    stats table skip 1 using (half(i) >= 0 ? (has_spread = 1) : 0) nooutput
    if (some) { n_drawn = n_drawn + 1; drawn[n_drawn] = i }
  }
}
space = gap / row_height
base(i) = (shown - place[i]) * (n_windows + space)
set xrange [0.5 : n_intervals + 0.5]
set yrange [0.5 : shown * (n_windows + space) + 0.5]
set border 0
unset grid
set tmargin at screen down(0.02)
set bmargin at screen down(tall - 0.84)
set xtics scale 0 ()
do for [k = 1 : n_intervals] { set xtics add (sprintf("%d", interval[k]) k) }
set ytics scale 0 ()
do for [i = 1 : n] {
  if (place[i] > 0) {
    do for [k = 1 : n_windows] { set ytics add (sprintf("%d", window[k]) base(i) + k) }
    set label 100 + i label[i] at 0.5, base(i) + n_windows + 0.5 left offset 0,0.55
  }
}
set label 1 "interval (steps)" center at graph 0.5, screen down(tall - 0.6)
set label 3 "window (steps)" center rotate at screen across(0.11), graph 0.5
set palette defined (0 "#fde725", 1 "#c2df23", 2 "#86d549", 3 "#52c569", 4 "#2ab07f", 5 "#1e9b8a", \
                     6 "#25858e", 7 "#2d708e", 8 "#38588c", 9 "#433e85", 10 "#482173", 11 "#440154")
if (most < least) { least = 1; most = 1 }
most = most - least > 0.001 ? most : least + 0.001
set cbrange [least : most]
set cbtics scale 0.4 offset 0,tic_shift
set cbtics least, (most - least) / 4, most
set format cb "%.3f"
set colorbox horizontal user origin screen across(0.52), screen down(tall - 0.31) \
  size screen across(width - 0.67), screen 0.07 / tall
set label 2 "run imbalance (max / mean GPU load)" center at graph 0.5, screen down(tall - 0.08)

# White on the dark half of the palette, black on the light one.
ink(v) = v > least + 0.45 * (most - least) ? 0xFFFFFF : 0x000000
field(i) = sprintf("%.3f", column(mean(i)))
spread(i) = half(i) != half(i) ? "" : half(i) < 0.00005 ? "<0.0001" : sprintf(half(i) < 0.0005 ? "±%.4f" : "±%.3f", half(i))
x(unused) = find_interval(column(1))
y(i) = base(i) + find_window(column(2))
panels_of = ""
do for [i = 1 : n] { if (place[i] > 0) { panels_of = panels_of . (panels_of eq "" ? "" : ",") . label[i] } }
readout = sprintf("x=interval y=window rank=xy panel=%g panels=%s", n_windows + space, panels_of)
plot for [k = 1 : n_drawn] table skip 1 using (x(0)):(y(drawn[k])):(0.49):(0.48):(column(mean(drawn[k]))) \
       with boxxyerror fc palette fs solid noborder, \
     for [k = 1 : n_drawn] table skip 1 using (x(0)):(y(drawn[k]) + 0.2 * has_spread):(field(drawn[k])):(ink(column(mean(drawn[k])))) \
       with labels center font font(0.9 * small) tc rgb variable, \
     for [k = 1 : has_spread * n_drawn] table skip 1 \
       using (x(0)):(y(drawn[k]) - 0.25):(spread(drawn[k])):(ink(column(mean(drawn[k])))) \
       with labels center font font(0.75 * small) tc rgb variable, \
     NaN
