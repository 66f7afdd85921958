# The balance that each strategy reaches against the time it takes. Usage:
#   gnuplot -c bench_balance.gp TABLE.tsv FIGURE.pdf
# A line joins the strategies of an implementation on a problem, in the table's order; points are
# medians, bars span the 10th to the 90th percentile of the time. Lower and further left is better.
folder = ARG0[1 : strlen(ARG0) - strlen("bench_balance.gp")]
table = ARG1; figure = ARG2
first = 4; stride = 4; with_legend = 1
height(n) = 2.5
load folder . "style.gp"

time(i) = first + (i - 1) * stride
balance(i) = time(i) + 3
ms(x) = x > 0 ? 1e3 * x : NaN
of(problem, x) = column(1) == problem ? x : NaN

n_problems = 0; least = 1e30; most = 0; top = 1.0; bottom = 1e30
stats table skip 1 using (n_problems = column(1) > n_problems ? column(1) : n_problems) nooutput
do for [i = 1 : n] {
  stats table skip 1 using (v = ms(column(time(i))), v < least ? (least = v) : 0, v > most ? (most = v) : 0) nooutput
  stats table skip 1 using (v = column(balance(i)), v > top ? (top = v) : 0, v < bottom ? (bottom = v) : 0) nooutput
}

set logscale x
set logscale y
