# What a round of swaps costs, with all else that a packing takes, against the number of items. Usage:
#   gnuplot -c bench_scaling.gp TABLE.tsv FIGURE.pdf
# Points are medians, bars span the 10th to the 90th percentile; the grey lines grow as n and n^2.
folder = ARG0[1 : strlen(ARG0) - strlen("bench_scaling.gp")]
table = ARG1; figure = ARG2
first = 2; stride = 3; with_legend = 1
height(n) = 2.2
load folder . "style.gp"

median(i) = first + (i - 1) * stride
us(x) = 1e6 * x

least = 1e30; most = 0; n_least = 1e30; n_most = 0
do for [i = 1 : n] {
  stats table skip 1 using (v = us(column(median(i))), v < least ? (least = v) : 0, v > most ? (most = v) : 0) nooutput
}
stats table skip 1 using (n_least = column(1) < n_least ? column(1) : n_least, \
                          n_most = column(1) > n_most ? column(1) : n_most, 0) nooutput

set logscale xy
set rmargin at screen across(width - 0.25)
set xrange [n_least / 1.25 : n_most * 1.25]
set yrange [least / 3 : most * 2]
set xtics n_least, 2, n_most
set format y "%g"
set label 1 "items n" center at graph 0.5, screen down(tall - 0.08)
set label 2 "time of a rebalance / its rounds (µs)" center rotate at screen across(0.11), graph 0.5

# Both guides start below the data; each ends at the plot's right or upper edge.
start = least / 2
guide(x, power) = start * (x / n_least) ** power
square_end = n_least * (most * 1.5 / start) ** 0.5
square_end = square_end < n_most ? square_end : n_most
set style arrow 1 nohead back lc rgb "#A0A0A0" lw 0.6
set arrow 1 from n_least, start to n_most, guide(n_most, 1) as 1
set arrow 2 from n_least, start to square_end, guide(square_end, 2) as 1
set label 3 "n" at n_most, guide(n_most, 1) left offset 0.6,0 textcolor rgb "#808080"
set label 4 "n²" at square_end, guide(square_end, 2) left offset 0.6,0 textcolor rgb "#808080"

bar(i) = us(column(median(i) + 1))
plot for [i = 1 : n] table skip 1 using 1:(bar(i)):(0):(us(column(median(i) + 2)) - bar(i)) \
       with vectors nohead lc rgb colour[i] lw 0.6 dt 1, \
     for [i = 1 : n] table skip 1 using 1:(us(column(median(i)))) with linespoints ls style[i]
