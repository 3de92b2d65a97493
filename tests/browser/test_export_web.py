"""A page that draws by itself: the same ln q and ln w as in Python, for what it drew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Page

import flowlab as fl

CLOSE = 1e-5
DRAWN = "n => Array.from({length: n}, () => sampler.draw()).map(({x, logQ, logW}) => [[...x], logQ, logW])"
KEPT = (
    "rows => rows.map(([state, x]) => { const d = sampler.draw({given: state, whole: x}); return [d.logQ, d.logW]; })"
)


@pytest.mark.parametrize(("L", "over"), [(4, None), (8, None), (4, "beta:0.3:0.6"), (8, "T:2:4")])
def test_what_a_page_draws_has_the_ln_q_of_python(L: int, over: str | None, page: Page, tmp_path: Path) -> None:
    """Over a range too, where the page makes the weights at the coupling of its slider."""
    run = fl.experiment("ising-coloured", L=L, over=over, steps=3, batch=50, hidden=8, device="cpu")
    run.run(progress=False)
    density, target, system = run.density.double(), run.target, run.system
    if over:
        weights = density.state_dict().values()
        generator = torch.Generator().manual_seed(1)
        for tensor in weights:
            tensor += 0.05 * torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
    page.goto(run.export_web(tmp_path / "draw.html").as_uri())
    if over:
        name, value = over.partition(":")[0], {"b": 0.57, "T": 3.3}[over[0]]
        T = value if name == "T" else 1 / value
        density, target, system = density.at(**{name: value}), target.at(T=T), system.at(T=T)
        page.evaluate("value => sampler.at(value)", value)
    assert page.evaluate("sampler.logZ") == pytest.approx(fl.exact.log_z(system), rel=1e-9)
    even = (torch.arange(L)[:, None] + torch.arange(L)) % 2 == 0

    def in_python(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """ln q and ln weight of whole lattices: the even sites by the density, the odd ones by their fields."""
        coarse = x[:, even].reshape(-1, L, L // 2)
        odds = 2 * float(target.physical.bond) * sum(x.roll(by, d) for d in (1, 2) for by in (1, -1))
        log_p = torch.nn.functional.logsigmoid(odds * x)[:, ~even].sum(1)
        return density.log_prob(coarse).detach() + log_p, system.log_weight(x)

    drawn = page.evaluate(DRAWN, 20)
    x = torch.tensor([row for row, _, _ in drawn], dtype=torch.float64).reshape(-1, L, L)
    log_q, log_weight = in_python(x)
    torch.testing.assert_close(torch.tensor([q for _, q, _ in drawn]).double(), log_q, atol=CLOSE, rtol=1e-6)
    weights = torch.tensor([w for _, _, w in drawn]).double()
    torch.testing.assert_close(weights, log_weight - log_q, atol=2 * CLOSE, rtol=1e-6)
    # and of configurations that Python drew: unlikely ones too
    x = torch.randint(2, (20, L, L), generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    rows = density.rows(x[:, even].reshape(-1, L, L // 2))[:-1].T
    found = page.evaluate(KEPT, [[r.tolist(), s.flatten().tolist()] for r, s in zip(rows, x, strict=True)])
    torch.testing.assert_close(torch.tensor([q for q, _ in found]).double(), in_python(x)[0], atol=CLOSE, rtol=1e-6)


def test_draws_of_a_page_are_from_q(page: Page, tmp_path: Path) -> None:
    """ln Z from the weights of 2000 draws, against Kaufman's."""
    run = fl.experiment("ising-coloured", L=4, beta=0.44, steps=3, batch=50, hidden=8, device="cpu")
    run.run(progress=False)
    page.goto(fl.widgets.export_web(run, tmp_path / "draw.html", title="Four by four").as_uri())
    assert page.title() == page.get_by_role("heading", level=1).inner_text() == "Four by four"
    first = page.locator("#together").inner_text()
    assert "≥" not in first and "±" not in first and "draw more" in first  # of one draw no bound can be said
    log_w = torch.tensor(page.evaluate("() => Array.from({length: 2000}, () => sampler.draw().logW)"))
    w = (log_w - log_w.max()).exp()
    log_z = float(log_w.max() + w.mean().log())
    assert abs(log_z - run.log_z_exact) < 5 * float(w.std() / w.mean()) / 2000**0.5
    page.get_by_role("button", name="draw one").click()
    assert page.locator("#together").inner_text().startswith("2 draws")
    assert re.search(r"≥ \d\.\d{5} ± \d\.\d{5}, the mean", page.locator("#together").inner_text())
    page.keyboard.press("Enter")
    assert page.locator("#together").inner_text().startswith("3 draws")


def test_what_no_page_can_draw_is_refused(tmp_path: Path) -> None:
    for study, keys in (
        ("ising-rigcs", {"L": 4}),
        ("ising-xor", {"L": 4}),
        ("ising-coloured", {"L": 4, "h": 0.1}),
        ("ising-coloured", {"L": 4, "over": "beta:0.3:0.5,h:0:0.1"}),
    ):
        with pytest.raises(ValueError, match="page"):
            fl.experiment(study, **keys).export_web(tmp_path / "draw.html")
    assert not list(tmp_path.iterdir())
