# What a further round of swaps costs against the number of items. Usage:
#   gnuplot -c bench_scaling.gp TABLE.tsv FIGURE.pdf
# Points are medians, bars span the 10th to the 90th percentile; the grey lines grow as n and n^2.
folder = ARG0[1 : strlen(ARG0) - strlen("bench_scaling.gp")]
table = ARG1; figure = ARG2
first = 2; stride = 3; with_legend = 1
height(n) = 2.2
load folder . "style.gp"

median(i) = first + (i - 1) * stride
us(x) = x > 0 ? 1e6 * x : NaN

least = 1e30; most = 0; n_least = 1e30; n_most = 0
do for [i = 1 : n] {
  stats table skip 1 using (v = us(column(median(i))), v < least ? (least = v) : 0, v > most ? (most = v) : 0) nooutput
}
stats table skip 1 using (n_least = column(1) < n_least ? column(1) : n_least, n_most = column(1) > n_most ? column(1) : n_most) nooutput

set logscale xy
set xrange [n_least / 1.25 : n_most * 1.6]
set yrange [least / 3 : most * 2]
set xtics out nomirror scale 0.5 n_least, 2, n_most
set format y "10^{%L}"
set ytics enhanced
set label 1 "items n" center at graph 0.5, screen down(tall - 0.08)
set label 2 "time of a round after the first (us)" center rotate at screen across(0.11), graph 0.5

# Both guides start below the data; a guide ends at the plot's right or upper edge.
start = least / 2
guide(x, power) = start * (x / n_least) ** power
square_end = n_least * (most * 1.5 / start) ** 0.5
square_end = square_end < n_most ? square_end : n_most
set label 3 "n" at n_most * 1.06, guide(n_most, 1) left textcolor rgb "#808080"
set label 4 "n^2" enhanced at square_end * 1.06, guide(square_end, 2) left textcolor rgb "#808080"

plot [x = n_least : n_most] guide(x, 1) with lines lc rgb "#A0A0A0" lw 0.6 dt 1, \
     [x = n_least : square_end] guide(x, 2) with lines lc rgb "#A0A0A0" lw 0.6 dt 1, \
     for [i = 1 : n] table skip 1 using 1:(us(column(median(i)))):(us(column(median(i) + 1))):(us(column(median(i) + 2))) \
       with yerrorbars lc rgb colour[i] lw 0.6 dt 1 pt -1, \
     for [i = 1 : n] table skip 1 using 1:(us(column(median(i)))) with linespoints ls style[i]
