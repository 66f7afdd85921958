# Imbalance against the slots of a GPU. Usage: gnuplot -c redundancy.gp TABLE.tsv FIGURE.pdf
# The axis above says what memory they take, where the table knows it.
folder = ARG0[1 : strlen(ARG0) - strlen("redundancy.gp")]
table = ARG1; figure = ARG2
first = 3; stride = 4; with_legend = 1
height(n) = 2.4
load folder . "style.gp"

gigabytes = NaN
stats table skip 1 using (gigabytes = column(2) / column(1), 0) nooutput
x_name = "slots a GPU"
y_name = "run imbalance (log of what is above 1)"
x_column = 1
x_key = "slots"
x_log = 0
y_from = 1
if (gigabytes == gigabytes) {
  above_name = "expert weights (GB a GPU)"
  above_per_x = gigabytes
  load folder . "above.gp"
  # Labels stand at round numbers.
  gb_least = 1e300; gb_most = 0
  stats table skip 1 using (gb_least = column(2) < gb_least ? column(2) : gb_least, \
                            gb_most = column(2) > gb_most ? column(2) : gb_most, 0) nooutput
  raw = gb_most > gb_least ? (gb_most - gb_least) / 5 : gb_most
  power = 10 ** floor(log10(raw))
  gb_step = power * (raw / power > 5 ? 10 : raw / power > 2 ? 5 : raw / power > 1 ? 2 : 1)
  do for [k = ceil(gb_least / gb_step) : floor(gb_most / gb_step)] { set x2tics add (sprintf("%.4g", k * gb_step) k * gb_step) }
}
load folder . "curves.gp"
