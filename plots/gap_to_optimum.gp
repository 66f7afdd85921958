# How far strategies are above, and a bound is below, the exact optimum of small instances. Usage:
#   moebal-exact > TABLE.tsv; gnuplot -c gap_to_optimum.gp TABLE.tsv FIGURE.pdf
# Points are means over instances, bars their 95 % intervals; the optimum is the line at 0.
folder = ARG0[1 : strlen(ARG0) - strlen("gap_to_optimum.gp")]
table = ARG1; figure = ARG2
first = 3; stride = 3; with_legend = 1
height(n) = 2.2
load folder . "style.gp"
set xzeroaxis lt 1 lw 0.8 lc rgb "#000000"
x_name = "slots a GPU"
y_name = "largest GPU load against the optimum (%)"
x_column = 1
x_key = "slots"
x_log = 0
y_from = 0
load folder . "curves.gp"
