# The balance that each strategy reaches against the time it takes. Usage:
#   gnuplot -c bench_balance.gp TABLE.tsv FIGURE.pdf
# A line joins the strategies of an implementation on a problem, in the table's order; points are
# medians, bars span the 10th to the 90th percentile of the time. Names of strategies stand at the
# first implementation's points of the problem where they differ the most. Lower and further left is
# better.
folder = ARG0[1 : strlen(ARG0) - strlen("bench_balance.gp")]
table = ARG1; figure = ARG2
first = 4; stride = 4; with_legend = 1
height(n) = 2.5
load folder . "style.gp"

median(i) = first + (i - 1) * stride
balance(i) = median(i) + 3
ms(x) = x > 0 ? 1e3 * x : NaN
of(problem, x) = column(1) == problem ? x : NaN

n_problems = 0; least = 1e30; most = 0; top = 1.0; bottom = 1e30
stats table skip 1 using (n_problems = column(1) > n_problems ? column(1) : n_problems) nooutput
do for [i = 1 : n] {
  stats table skip 1 using (v = ms(column(median(i))), v < least ? (least = v) : 0, v > most ? (most = v) : 0) nooutput
  stats table skip 1 using (v = column(balance(i)), v > top ? (top = v) : 0, v < bottom ? (bottom = v) : 0) nooutput
}

# Log of what is above 1, perfect balance: problems differ by more than strategies do.
above(y) = y > 1 ? y - 1 : NaN

# A problem's name stands as high as its least balanced point.
do for [p = 1 : n_problems] {
  label_y = 0; problem_name = ""
  do for [i = 1 : n] {
    stats table skip 1 using (column(1) == p && above(column(balance(i))) > label_y ? (label_y = above(column(balance(i)))) : 0) nooutput
  }
  stats table skip 1 using (column(1) == p ? (problem_name = strcol(2), 0) : 0) nooutput
  set label 100 + p problem_name at graph 0.02, first label_y left font font(small)
}

# The problem whose balances spread the widest, and the strategy that its line begins with.
named = 1; widest = 0; first_strategy = ""
do for [p = 1 : n_problems] {
  low = 1e30; high = 0
  stats table skip 1 using (v = of(p, above(column(balance(1)))), v < low ? (low = v) : 0, v > high ? (high = v) : 0) nooutput
  if (high > widest * low) { named = p; widest = high / low }
}
stats table skip 1 using (first_strategy eq "" ? (first_strategy = strcol(3), 0) : 0) nooutput
is_first(x) = strcol(3) eq first_strategy ? x : NaN
is_other(x) = strcol(3) eq first_strategy ? NaN : x

set logscale xy
set rmargin at screen across(width - 0.2)
# The names of the problems take the left of the plot.
set xrange [least / (most / least) ** 0.5 : most * 1.6]
set yrange [(bottom - 1) / 1.7 : (top - 1) * 1.5]
set format "%g"
set label 1 "time of a rebalance (ms)" center at graph 0.5, screen down(tall - 0.08)
set label 2 "max / mean GPU load, less 1" center rotate at screen across(0.11), graph 0.5

plot for [i = 1 : n] for [p = 1 : n_problems] table skip 1 \
       using (of(p, ms(column(median(i) + 1)))):(above(column(balance(i)))):(ms(column(median(i) + 2)) - ms(column(median(i) + 1))):(0) \
       with vectors nohead lc rgb colour[i] lw 0.6 dt 1, \
     for [i = 1 : n] for [p = 1 : n_problems] table skip 1 \
       using (of(p, ms(column(median(i))))):(above(column(balance(i)))) with linespoints ls style[i], \
     table skip 1 using (of(named, is_first(ms(column(median(1)))))):(above(column(balance(1)))):3 \
       with labels center offset 0,0.7 font font(small), \
     table skip 1 using (of(named, is_other(ms(column(median(1)))))):(above(column(balance(1)))):3 \
       with labels center offset 0,-0.7 font font(small)
