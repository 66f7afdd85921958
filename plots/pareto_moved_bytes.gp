# Balance against the weights that move. Usage: gnuplot -c pareto_moved_bytes.gp TABLE.tsv FIGURE.pdf
folder = ARG0[1 : strlen(ARG0) - strlen("pareto_moved_bytes.gp")]
table = ARG1; figure = ARG2
first = 3; stride = 7; with_legend = 1
height(n) = 2.3
load folder . "style.gp"
unit = ""
stats table skip 1 every ::0::0 using (unit = strcol(1), 0) nooutput
keys = "interval"
stats table skip 1 using (strstrt(strcol(2), " ") > 0 ? (keys = "interval, window", 0) : 0) nooutput
cost_name = sprintf("moved to a GPU per step (%s); numbers: %s", unit, keys)
load folder . "pareto.gp"
