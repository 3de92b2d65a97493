"""A panel of one's own: how large the importance weights of the newest draws are, beside those of a perfect model."""

import numpy as np

import flowlab as fl


@fl.widgets.register
class WeightsPanel(fl.widgets.FigurePanel):
    """Draws in the order of their weights w = p/q, scaled to mean 1: a flat line at 1 is q = p."""

    title = "Weights"

    @classmethod
    def fits(cls, experiment):
        return hasattr(experiment, "density")

    def figure(self):
        drawn = self.experiment.sample(1000, seed=0)
        log_w = np.sort(drawn.log_weight.values - drawn.log_q.values)
        w = np.exp(log_w - log_w.max())
        figure = fl.figures.Figure(layout_title_text=f"{len(w)} draws at step {self.experiment.step}")
        figure.add_scatter(y=w / w.mean(), name="weights of the draws")
        figure.add_hline(y=1.0, line_dash="dot")
        return figure.update_layout(xaxis_title="draw, in order", yaxis_title="weight / mean", yaxis_type="log")
