# Gain over no rebalancing against the size of a step. Usage: gnuplot -c batch_size.gp TABLE.tsv FIGURE.pdf
# The axis above says what an expert gets of it; it stands alone where the tokens of a step are unknown.
folder = ARG0[1 : strlen(ARG0) - strlen("batch_size.gp")]
table = ARG1; figure = ARG2
first = 3; stride = 4; with_legend = 1
height(n) = 2.4
load folder . "style.gp"
expert_name = "tokens of an expert in a layer and step (mean)"
share = NaN
stats table skip 1 using (share = column(1) / column(2), 0) nooutput
x_name = share == share ? "tokens of a step" : expert_name
y_name = "fullest GPU's load lower by (%)"
x_column = share == share ? 2 : 1
x_key = share == share ? "tokens" : "expert_tokens"
x_log = 1
y_from = 0
if (share == share) {
  above_name = expert_name
  above_per_x = share
  load folder . "above.gp"
  # Labelled where the points are, as the axis below.
  stats table skip 1 using (n_above < 256 ? (n_above = n_above + 1, above_tick[n_above] = column(1)) : 0) nooutput
  do for [k = 1 : n_above] { set x2tics add (number(above_tick[k]) above_tick[k]) }
}
load folder . "curves.gp"
