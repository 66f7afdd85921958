# What the figures of imbalance against one swept size share. They load style.gp before, and set x_name,
# y_name, x_column, x_key (that column's name), x_log (1: a log axis, labelled at the points), and y_from (the least y axis has to
# show, or NaN). Points are means, bars their 95 % intervals, drawn a little apart.
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
bottom = y_from == y_from && y_from < bottom ? y_from : bottom
margin_y = top - bottom > 0.01 ? 0.06 * (top - bottom) : 0.01
set yrange [bottom - (bottom == y_from ? 0 : margin_y) : top + margin_y]
set rmargin at screen across(width - 0.2)
set grid x
set xtics nomirror ()
do for [k = 1 : n_ticks] { set xtics add (sprintf("%.3g", ticks[k]) ticks[k]) }
if (x_log) {
  set logscale x
  edge = most > least ? (most / least) ** 0.05 : 1.1
  set xrange [least / edge : most * edge]
} else {
  edge = most > least ? 0.05 * (most - least) : 0.5
  set xrange [least - edge : most + edge]
}
set label 1 x_name center at graph 0.5, screen down(tall - 0.08)
set label 3 y_name center rotate at screen across(0.11), graph 0.5

# A strategy's points stand a little beside the others', so that their bars can be told apart.
apart(i) = (i - (n + 1) / 2.0) * 0.006
x(i) = x_log ? column(x_column) * (most > least ? (most / least) ** apart(i) : 1) \
             : column(x_column) + apart(i) * (most - least)
readout = x_log ? "x=" . x_key . " log=x" : "x=" . x_key
plot for [i = 1 : n] table skip 1 using (x(i)):(column(low(i))):(0):(column(high(i)) - column(low(i))) \
       with vectors heads size screen 0.006,90 lc rgb colour[i] lw 0.6 dt 1, \
     for [i = 1 : n] table skip 1 using (x(i)):(column(mean(i))) with linespoints ls style[i]
