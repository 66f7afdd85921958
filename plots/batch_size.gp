# Gain over no rebalancing against the size of a step. Usage: gnuplot -c batch_size.gp TABLE.tsv FIGURE.pdf
folder = ARG0[1 : strlen(ARG0) - strlen("batch_size.gp")]
table = ARG1; figure = ARG2
first = 2; stride = 4; with_legend = 1
height(n) = 2.1
load folder . "style.gp"
x_name = "tokens of an expert by layer and step (mean)"
y_name = "fullest GPU's load lower by (%)"
x_column = 1
x_key = "tokens"
x_log = 1
y_from = 0
load folder . "curves.gp"
