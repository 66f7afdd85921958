# What the two figures of balance against a cost share; they set `cost_name` and load style.gp before.
# Points are means, bars their 95 % intervals in both directions; the small numbers are the swept
# values, at the first and the last strategy that has several points. A strategy without a cost is a
# line across; one that would take the others' place is a remark at the top.
mean(i) = first + (i - 1) * stride
low(i) = mean(i) + 1
high(i) = mean(i) + 2
cost(i) = mean(i) + 3
cost_low(i) = mean(i) + 4
cost_high(i) = mean(i) + 5

# Points of two swept keys lie on no line, and their labels need more room.
two_keys = 0
stats table skip 1 using (strstrt(strcol(2), " ") > 0 ? (two_keys = 1) : 0) nooutput
least = 1e300; most = 0; bottom = 1e300; top = 0
array points[n]
array level[n]
array lowest[n]
array highest[n]
array beside[n]
do for [i = 1 : n] {
  points[i] = 0
  level[i] = NaN
  lowest[i] = 1e300
  highest[i] = 0
  beside[i] = 0
  stats table skip 1 using (column(cost(i)) > 0 ? (points[i] = points[i] + 1) : 0, \
      column(mean(i)) > 0 ? (level[i] = column(mean(i))) : 0) nooutput
  stats table skip 1 using (column(mean(i)) < lowest[i] ? (lowest[i] = column(mean(i))) : 0, \
                            column(mean(i)) > highest[i] ? (highest[i] = column(mean(i))) : 0) nooutput
  stats table skip 1 using (column(high(i)) > highest[i] ? (highest[i] = column(high(i))) : 0, \
                            column(low(i)) < lowest[i] ? (lowest[i] = column(low(i))) : 0) nooutput
  if (points[i] > 0 && style[i] <= n_styles) {
    bottom = lowest[i] < bottom ? lowest[i] : bottom
    top = highest[i] > top ? highest[i] : top
  }
}
# A reference that is far from the strategies would press them onto one line.
beyond = ""
do for [i = 1 : n] { if (points[i] > 0 && style[i] > n_styles) {
  if (top > 0 && (lowest[i] > top + 1.5 * (top - bottom) || highest[i] < bottom - 1.5 * (top - bottom))) {
    beside[i] = 1
    beyond = beyond . (beyond eq "" ? "" : ", ") . sprintf("%s: %.3f to %.3f", label[i], lowest[i], highest[i])
  } else {
    bottom = lowest[i] < bottom ? lowest[i] : bottom
    top = highest[i] > top ? highest[i] : top
  }
} }
do for [i = 1 : n] { if (points[i] > 0 && !beside[i]) {
  stats table skip 1 using (column(cost(i)) > 0 && column(cost(i)) < least ? (least = column(cost(i))) : 0, \
                            column(cost(i)) > most ? (most = column(cost(i))) : 0) nooutput
  stats table skip 1 using (column(cost_low(i)) > 0 && column(cost_low(i)) < least ? (least = column(cost_low(i))) : 0, \
                            column(cost_high(i)) > most ? (most = column(cost_high(i))) : 0) nooutput
} }
is_line(i) = points[i] == 0 && level[i] == level[i]
do for [i = 1 : n] { if (is_line(i) && top == 0) { top = level[i]; bottom = level[i] } }
if (top == 0) { top = 2; bottom = 1 }
reach = top + 0.6 * (top - bottom)
do for [i = 1 : n] { if (is_line(i)) {
  if (level[i] > reach || level[i] < bottom - (top - bottom)) {
    beyond = beyond . (beyond eq "" ? "" : ", ") . sprintf("%s: %.3f", label[i], level[i])
  } else {
    top = level[i] > top ? level[i] : top
    bottom = level[i] < bottom ? level[i] : bottom
  }
} }
least = most > 0 ? least : 0.1
most = most > 0 ? most : 1
ratio = most / least > 1.5 ? most / least : 1.5
margin_y = top - bottom > 0.001 ? 0.1 * (top - bottom) : 0.01

set logscale x
set xrange [least / ratio ** 0.08 : most * ratio ** 0.10]
set yrange [bottom - margin_y : top + (beyond eq "" ? 1 : 1.8) * margin_y]
if (beyond ne "") { set label 4 beyond . " (beyond this axis)" at graph 0.99, graph 0.96 right font font(small) textcolor rgb "#606060" }
set rmargin at screen across(width - 0.2)
set format x "%g"
set format y "%.4g"
# As many digits as tell the labels apart, and room for them.
if (top - bottom < 0.006) {
  set format y "%.5g"
  set lmargin at screen across(0.62)
}
# A decade or two of a log axis need more labels than powers of ten.
set xtics nomirror
if (ratio < 4) { set xtics auto; unset logscale x; set xrange [least - 0.1 * (most - least) - 0.02 * least : most + 0.12 * (most - least) + 0.02 * most] } else {
  if (ratio < 100) {
    set xtics (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, \
               "2000" 2000, "5000" 5000, "10000" 10000, "20000" 20000, "50000" 50000, "100000" 100000)
  }
}
set grid x
set label 1 cost_name center at graph 0.5, screen down(tall - 0.08)
set label 3 "run imbalance (max / mean)" center rotate at screen across(0.11), graph 0.5

do for [i = 1 : n] {
  if (is_line(i)) { set arrow 500 + i from graph 0, first level[i] to graph 1, first level[i] nohead back ls style[i] lw 0.7 }
}
# The swept values of the first and the last strategy that has several points: of the better one below
# and left of them, of the other above and right, those left out that would stand on each other.
first_named = 0; last_named = 0
do for [i = 1 : n] {
  if (points[i] > 1 && style[i] <= n_styles) { first_named = first_named == 0 ? i : first_named; last_named = i }
}
at_x(v) = ratio < 4 ? v : log(v)
span_x = at_x(most) - at_x(least) > 0 ? at_x(most) - at_x(least) : 1
span_y = top - bottom > 0 ? top - bottom : 1
total(k) = sum [r = k * n_rows + 1 : (k + 1) * n_rows] \
  (cost_of[r] > 0 && mean_of[r] > 0 ? at_x(cost_of[r]) / span_x + mean_of[r] / span_y : 0)
array cost_of[2 * n_rows]
array mean_of[2 * n_rows]
array value_of[2 * n_rows]
named(k) = k == 0 ? first_named : last_named
n_named = first_named == 0 ? 0 : first_named == last_named ? 1 : 2
do for [k = 0 : n_named - 1] {
  i = named(k)
  stats table skip 1 using (cost_of[k * n_rows + int(column(0)) + 1] = column(cost(i)), \
                            mean_of[k * n_rows + int(column(0)) + 1] = column(mean(i)), \
                            value_of[k * n_rows + int(column(0)) + 1] = strcol(2), 0) nooutput
}
better = n_named == 2 && total(0) > total(1) ? 1 : 0
array is_shown[2 * n_rows]
is_near(q, r) = abs(at_x(cost_of[q]) - at_x(cost_of[r])) < 0.07 * span_x && abs(mean_of[q] - mean_of[r]) < 0.09 * span_y
do for [k = 0 : n_named - 1] {
  side = k == better && !two_keys ? -1 : 1
  do for [r = k * n_rows + 1 : (k + 1) * n_rows] {
    is_shown[r] = cost_of[r] > 0 && mean_of[r] > 0 ? 1 : 0
    do for [q = k * n_rows + 1 : r - 1] { if (is_shown[q] && is_shown[r] && is_near(q, r)) { is_shown[r] = 0 } }
    if (is_shown[r]) {
      if (side < 0) {
        set label 600 + r value_of[r] at first cost_of[r], first mean_of[r] right offset -0.6,-0.6 font font(0.83 * small) tc rgb colour[named(k)]
      } else {
        set label 600 + r value_of[r] at first cost_of[r], first mean_of[r] left offset 0.6,0.6 font font(0.83 * small) tc rgb colour[named(k)]
      }
    }
  }
}
symbols = two_keys ? "points" : "linespoints"
readout = "name=condition each=x" . (ratio < 4 ? "" : " log=x")
plot for [i = 1 : n] table skip 1 using (column(cost(i))):(column(low(i))):(0):(column(high(i)) - column(low(i))) \
       with vectors heads size screen 0.006,90 lc rgb colour[i] lw 0.6 dt 1, \
     for [i = 1 : n] table skip 1 using (column(cost_low(i)) > 0 ? column(cost_low(i)) : NaN):(column(mean(i))):(column(cost_high(i)) - column(cost_low(i))):(0) \
       with vectors heads size screen 0.006,90 lc rgb colour[i] lw 0.6 dt 1, \
     for [i = 1 : n] table skip 1 using (column(cost(i))):(column(mean(i))) with @symbols ls style[i]
