# Mean step imbalance by strategy. Usage: gnuplot -c strategy_bars.gp TABLE.tsv FIGURE.pdf
# Bars are means over the scored steps and begin at 1, perfect balance; whiskers span the 5th to the
# 95th percentile; the lines are the means of the references none and hindsight.
folder = ARG0[1 : strlen(ARG0) - strlen("strategy_bars.gp")]
table = ARG1; figure = ARG2
first = 0; stride = 1; with_legend = 0
height(n) = 0.6 + 0.17 * n
load folder . "style.gp"

widest = 0
do for [i = 1 : n] { widest = text_width(label[i]) > widest ? text_width(label[i]) : widest }
set lmargin at screen across(widest + 0.12 < width / 2 ? widest + 0.12 : width / 2)
set bmargin at screen down(tall - 0.5)
set yrange [n + 0.6 : 0.4]
set ytics scale 0 ()
do for [i = 1 : n] { set ytics add (label[i] i) }
set border 1
unset grid
set grid x lt 1 lw 0.4 lc rgb "#E0E0E0" dt 1
set label 1 "step imbalance (max / mean GPU load) over scored steps:" center at screen 0.5, screen down(tall - 0.2)
set label 2 "mean, 5th to 95th percentile" center at screen 0.5, screen down(tall - 0.08)

# Room for the means, written behind the whiskers.
top = 1.0
stats table skip 1 using (column(5) > top ? (top = column(5)) : 0) nooutput
stats table skip 1 using (column(2) > top ? (top = column(2)) : 0) nooutput
top = top > 1.02 ? top : 1.02
set xrange [1 : 1 + 1.16 * (top - 1)]
reference = 0
do for [i = 1 : n] {
  if (style[i] > n_styles) {
    stats table skip 1 every ::(i - 1)::(i - 1) using (reference = column(2)) nooutput
    set arrow from reference, graph 0 to reference, graph 1 nohead front ls style[i] lw 0.7
  }
}
half = 0.32
readout = "y=# name=strategy"
plot table skip 1 using (1):(column(0) + 1):(1):2:(column(0) + 1 - half):(column(0) + 1 + half):(colour[int(column(0)) + 1]) \
       with boxxyerror fc rgb variable fs solid 0.75 noborder, \
     table skip 1 using 3:(column(0) + 1):(column(5) - column(3)):(0) with vectors heads size screen 0.008,90 lc rgb "black" lw 0.8, \
     table skip 1 using (column(5) > column(2) ? column(5) : column(2)):(column(0) + 1):(sprintf("%.3f", column(2))) \
       with labels left offset 0.6,0 font font(small)
