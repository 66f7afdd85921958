# Imbalance of plans in sample and out of sample. Usage: gnuplot -c in_sample.gp TABLE.tsv FIGURE.pdf
# Three boxes a strategy, from above: on the summed loads that a plan was made from (in sample), on
# those of the interval that follows, and step by step in that interval (both out of sample). Boxes are the middle half of the plans
# with the median, whiskers their 5th to 95th percentile, crosses means.
folder = ARG0[1 : strlen(ARG0) - strlen("in_sample.gp")]
table = ARG1; figure = ARG2
first = 0; stride = 1; with_legend = 0
height(n) = 0.75 + 0.34 * n
load folder . "style.gp"

said(m) = m == 1 ? "in sample" : m == 2 ? "out of sample, summed" : "out of sample, by step"
tone(m) = m == 1 ? 0x9ECAE1 : m == 2 ? 0xFDAE6B : 0xBDBDBD
# Boxes may be too narrow to have a colour: medians, means and whiskers have it too.
dark(m) = m == 1 ? 0x2171B5 : m == 2 ? 0xC04000 : 0x404040
column_of(m) = 3 + (m - 1) * 6
# Before ranges are set: stats would leave out what is beyond them.
bottom = 1e300
top = 1
do for [m = 1 : 3] {
  stats table skip 1 using (column(column_of(m)) < bottom ? (bottom = column(column_of(m))) : 0, \
                            column(column_of(m) + 4) > top ? (top = column(column_of(m) + 4)) : 0) nooutput
}
widest = 0
do for [i = 1 : n] { widest = text_width(label[i]) > widest ? text_width(label[i]) : widest }
set lmargin at screen across(widest + 0.12 < width / 2 ? widest + 0.12 : width / 2)
set tmargin at screen down(0.32)
set bmargin at screen down(tall - 0.36)
set yrange [n + 0.5 : 0.5]
set ytics scale 0 ()
do for [i = 1 : n] { set ytics add (label[i] i) }
set border 1
unset grid
set grid x lt 1 lw 0.4 lc rgb "#E0E0E0" dt 1

bottom = bottom > top ? 1 : bottom
edge = top - bottom > 0.02 ? 0.04 * (top - bottom) : 0.02
set xrange [bottom - edge > 1 ? bottom - edge : 1 - edge / 2 : top + edge]
set label 1 "imbalance (max / mean GPU load)" center at graph 0.5, screen down(tall - 0.08)
key_width = 0
do for [m = 1 : 3] { key_width = key_width + 0.24 + text_width(said(m)) * small / text }
x_key = (width - key_width) / 2 + 0.06
do for [m = 1 : 3] {
  set object 10 + m rectangle from screen across(x_key), screen down(0.045) rto screen across(0.09), screen -0.07 / tall \
    fc rgb tone(m) fs solid border rgb dark(m) lw 0.6
  set label 10 + m said(m) at screen across(x_key + 0.12), screen down(0.085) left font font(small)
  x_key = x_key + 0.24 + text_width(said(m)) * small / text
}
y(m) = column(0) + 1 + (m - 2) * 0.27
half = 0.11
q(m, k) = column(column_of(m) + k)
readout = "y=# name=strategy"
plot for [m = 1 : 3] table skip 1 using (q(m, 0)):(y(m)):(q(m, 4) - q(m, 0)):(0) with vectors nohead lc rgb dark(m) lw 0.7, \
     for [m = 1 : 3] table skip 1 using (q(m, 2)):(y(m)):(q(m, 1)):(q(m, 3)):(y(m) - half):(y(m) + half) \
       with boxxyerror fc rgb tone(m) fs solid border rgb dark(m) lw 0.4, \
     for [m = 1 : 3] table skip 1 using (q(m, 2)):(y(m) - half):(0):(2 * half) with vectors nohead lc rgb dark(m) lw 1.4, \
     for [m = 1 : 3] table skip 1 using (q(m, 5)):(y(m)) with points pt 1 ps 0.4 lw 1 lc rgb dark(m)
