/* sim/forecast_window.c - no forecast: what was is what comes. */
#include "sim/forecast.h"

const mb_forecast_type mb_forecast_window = {.name = "window",
                                             .summary = "the window's loads as they are"};
