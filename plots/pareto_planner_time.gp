# Balance against the time of planning. Usage: gnuplot -c pareto_planner_time.gp TABLE.tsv FIGURE.pdf
folder = ARG0[1 : strlen(ARG0) - strlen("pareto_planner_time.gp")]
table = ARG1; figure = ARG2
first = 3; stride = 7; with_legend = 1
height(n) = 2.3
load folder . "style.gp"
cost_name = "time of a plan, all layers (ms)" . (n_rows > 1 ? "; numbers: swept value" : "")
load folder . "pareto.gp"
