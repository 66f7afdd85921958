# What the figures of one number against one swept size share. They load style.gp before, and set
# x_name, y_name, x_column, x_key (that column's name), x_log (1: a log axis, labelled at the points)
# and y_from: 1: imbalances, on a log axis of what they are above 1, because none is as far above the
# others as they are above perfect balance; 0: a plain axis that begins at 0.
# Points are means, bars their 95 % intervals, drawn a little apart.
mean(i) = first + (i - 1) * stride
low(i) = mean(i) + 1
high(i) = mean(i) + 2
least = 1e300; most = -1e300; bottom = 1e300; top = -1e300
stats table skip 1 using (column(x_column) < least ? (least = column(x_column)) : 0, \
                          column(x_column) > most ? (most = column(x_column)) : 0) nooutput
do for [i = 1 : n] {
  stats table skip 1 using (column(mean(i)) < bottom ? (bottom = column(mean(i))) : 0, \
                            column(mean(i)) > top ? (top = column(mean(i))) : 0) nooutput
  stats table skip 1 using (column(low(i)) < bottom ? (bottom = column(low(i))) : 0, \
                            column(high(i)) > top ? (top = column(high(i))) : 0) nooutput
}
# Labels that would stand on each other are left out.
at_x(x) = x_log ? log(x) : x
span = at_x(most) - at_x(least)
last_label = -1e300
tick(x) = span <= 0 || at_x(x) - last_label > 0.07 * span ? (last_label = at_x(x), 1) : 0
array ticks[256]
n_ticks = 0
stats table skip 1 using (n_ticks < 256 && tick(column(x_column)) ? (n_ticks = n_ticks + 1, ticks[n_ticks] = column(x_column)) : 0) nooutput
if (bottom > top) { bottom = y_from; top = y_from + 1 }
least_above = 0.003
at_y(v) = y_from == 1 ? log(v - 1 > least_above ? v - 1 : least_above) : v
bottom = y_from == 1 ? at_y(bottom) : bottom < 0 ? bottom : 0
top = at_y(top)
margin_y = top - bottom > 0.01 ? 0.06 * (top - bottom) : 0.01
set yrange [bottom - (bottom == 0 && y_from == 0 ? 0 : margin_y) : top + margin_y]
if (y_from == 1) {
  # Round imbalances, not too close to each other.
  round_ones = "1.005 1.01 1.02 1.05 1.1 1.2 1.3 1.4 1.5 1.7 2 3 4 5 7 10 20 50 100 200 500 1000"
  set ytics ()
  last_label = -1e300
  do for [k = 1 : words(round_ones)] {
    v = at_y(word(round_ones, k) + 0)
    if (v >= bottom - margin_y && v <= top + margin_y && v - last_label > 0.07 * (top - bottom)) {
      set ytics add (word(round_ones, k) v)
      last_label = v
    }
  }
}
set rmargin at screen across(width - 0.2)
set grid x
set xtics nomirror ()
do for [k = 1 : n_ticks] { set xtics add (number(ticks[k]) ticks[k]) }
if (x_log) {
  set logscale x
  edge = most > least ? (most / least) ** 0.05 : 1.1
  x_from = least / edge; x_to = most * edge
} else {
  edge = most > least ? 0.05 * (most - least) : 0.5
  x_from = least - edge; x_to = most + edge
}
set xrange [x_from : x_to]
if (exists("above_per_x")) {
  set x2range [above_per_x * x_from : above_per_x * x_to]
  if (x_log) { set logscale x2 }
}
set label 1 x_name center at graph 0.5, screen down(tall - 0.08)
set label 3 y_name center rotate at screen across(0.11), graph 0.5

# A strategy's points stand a little beside the others', so that their bars can be told apart.
apart(i) = (i - (n + 1) / 2.0) * 0.006
x(i) = x_log ? column(x_column) * (most > least ? (most / least) ** apart(i) : 1) \
             : column(x_column) + apart(i) * (most - least)
readout = x_log ? "x=" . x_key . " log=x" : "x=" . x_key
plot for [i = 1 : n] table skip 1 using (x(i)):(at_y(column(low(i)))):(0):(at_y(column(high(i))) - at_y(column(low(i)))) \
       with vectors heads size screen 0.006,90 lc rgb colour[i] lw 0.6 dt 1, \
     for [i = 1 : n] table skip 1 using (x(i)):(at_y(column(mean(i)))) with linespoints ls style[i]
