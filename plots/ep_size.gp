# Imbalance against the number of GPUs. Usage: gnuplot -c ep_size.gp TABLE.tsv FIGURE.pdf
folder = ARG0[1 : strlen(ARG0) - strlen("ep_size.gp")]
table = ARG1; figure = ARG2
first = 2; stride = 4; with_legend = 1
height(n) = 2.1
load folder . "style.gp"
x_name = "GPUs that share the experts"
y_name = "run imbalance (log of what is above 1)"
x_column = 1
x_key = "gpus"
x_log = 1
y_from = 1
load folder . "curves.gp"
