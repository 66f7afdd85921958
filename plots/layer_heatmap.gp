# Imbalance by layer and step. Usage: gnuplot -c layer_heatmap.gp TABLE.tsv FIGURE.pdf
# A panel a strategy, all on one colour scale: the means of bins of steps; white where a layer had no
# load. The panels are stacked along one y axis, panel i from base(i) upwards in rows of layers. Steps
# left of the thin line are not part of the summaries.
folder = ARG0[1 : strlen(ARG0) - strlen("layer_heatmap.gp")]
table = ARG1; figure = ARG2
first = 6; stride = 1; with_legend = 0
panel(n) = n > 6 ? 0.45 : 0.62
gap = 0.16
height(n) = 0.8 + (panel(n) + gap) * n
load folder . "style.gp"

column_of(i) = first + i - 1
n_layers = 0
last = 0
bin = 0
scored_from = 0
top = 1
stats table skip 1 using (bin = column(2) > bin ? column(2) : bin, last = column(1) + column(2), \
                          n_layers = column(4) + 1 > n_layers ? column(4) + 1 : n_layers, \
                          column(3) > 0 ? 0 : (scored_from = last)) nooutput
stats table skip 1 using (column(3) > 0 && column(3) < column(2) ? (scored_from = column(1) + column(2) - column(3)) : 0) nooutput
do for [i = 1 : n] {
  stats table skip 1 using (column(3) > 0 && column(column_of(i)) > top ? (top = column(column_of(i))) : 0) nooutput
}
top = top > 1.1 ? top : 1.1

space = n_layers * gap / panel(n)
base(i) = (n - i) * (n_layers + space)
set xrange [0 : last]
set yrange [-0.5 : base(1) + n_layers - 0.5 + space]
set border 0
unset grid
set tics front
set tmargin at screen down(0.04)
set bmargin at screen down(tall - 0.76)
set label 1 scored_from > 0 ? "step (left of the line: not scored)" : "step" center at graph 0.5, screen down(tall - 0.5)
set label 3 "MoE layer" center rotate at screen across(0.11), graph 0.5
set ytics scale 0.3 ()
# Layers are labelled by their number in the model: at most five, evenly, from the first to the last,
# and no two closer than their text is high.
labels = n_layers < 5 ? n_layers : panel(n) < 0.6 && n_layers > 5 ? 4 : 5
while (labels > 2 && int((n_layers - 1) / (labels - 1)) * panel(n) / n_layers < 0.1) {
  labels = labels - 1
}
array id[n_layers]
stats table skip 1 every ::0::(n_layers - 1) using (id[int(column(4)) + 1] = column(5)) nooutput
do for [i = 1 : n] {
  do for [part = 0 : labels - 1] {
    r = labels > 1 ? int(part * (n_layers - 1.0) / (labels - 1) + 0.5) : 0
    set ytics add (sprintf("%d", id[r + 1]) base(i) + r)
  }
  set object i rectangle from 0, base(i) - 0.5 to last, base(i) + n_layers - 0.5 front \
    fs empty border rgb "#404040" lw 0.5
  set label 10 + i label[i] at 0, base(i) + n_layers - 0.5 left offset 0,0.6
  if (scored_from > 0) {
    set arrow i from scored_from, base(i) - 0.5 to scored_from, base(i) + n_layers - 0.5 nohead front lc rgb "black" lw 0.5
  }
}

# Viridis, dark for imbalance: its lightness falls evenly, in grey print too.
set palette defined (0 "#fde725", 1 "#c2df23", 2 "#86d549", 3 "#52c569", 4 "#2ab07f", 5 "#1e9b8a", \
                     6 "#25858e", 7 "#2d708e", 8 "#38588c", 9 "#433e85", 10 "#482173", 11 "#440154")
set cbrange [1 : top]
set logscale cb
set cbtics scale 0.4 offset 0,tic_shift
# Round numbers, and the end of the scale where it is not next to one.
steps = top < 1.5 ? "1 1.02 1.05 1.1 1.2 1.3 1.4" : top < 6 ? "1 1.2 1.5 2 2.5 3 4 5" : "1 2 4 8 16 32 64 128 256 512 1024"
set cbtics ()
do for [k = 1 : words(steps)] {
  tick = word(steps, k) + 0
  if (log(top / tick) > 0.09 * log(top)) { set cbtics add (word(steps, k) tick) }
}
set cbtics add (sprintf("%.3g", top) top)
set colorbox horizontal user origin screen across(0.52), screen down(tall - 0.31) \
  size screen across(width - 0.67), screen 0.07 / tall
set label 2 "imbalance (max / mean GPU load)" center at graph 0.5, screen down(tall - 0.08)

readout = sprintf("x=step wide=steps y=row name=layer panel=%g", n_layers + space)

# An image needs two rows and two columns at least.
if (n_layers > 1 && n_rows > n_layers) {
  plot for [i = 1 : n] table skip 1 \
    using (column(1) + bin / 2.0):(column(4) + base(i)):(column(column_of(i))) with image
} else {
  plot for [i = 1 : n] table skip 1 \
    using (column(1) + column(2) / 2.0):(column(4) + base(i)):(column(2) / 2.0):(0.5):(column(column_of(i))) \
    with boxxyerror fc palette fs solid noborder
}
