# Speed-up over none by interval, moves included. Usage: gnuplot -c rebalance_cost.gp TABLE.tsv FIGURE.pdf
# Circles mark where a curve comes to 1 and stays: break-even.
folder = ARG0[1 : strlen(ARG0) - strlen("rebalance_cost.gp")]
table = ARG1; figure = ARG2
first = 2; stride = 5; with_legend = 1
height(n) = 2.3
load folder . "style.gp"
x_name = "interval (steps, log)"
y_name = "speed-up over none"
x_column = 1
x_key = "interval"
x_log = 1
y_from = 0
set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead lc rgb "#808080" lw 0.9 dt (4,2) back
do for [i = 1 : n] {
  even = NaN
  stats table skip 1 using (column(first + (i - 1) * stride + 4) > 0 ? (even = column(first + (i - 1) * stride + 4)) : 0) nooutput
  if (even == even) { set label 10 + i "" at first even, first 1 point pt 6 ps 1.3 lc rgb colour[i] lw 1.2 front }
}
load folder . "curves.gp"
