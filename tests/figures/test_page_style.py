"""The look of flowlab's figures for matplotlib."""

import matplotlib as mpl
import pytest

import flowlab as fl


def test_settings_are_matplotlibs_and_change_nothing_by_themselves():
    before = dict(mpl.rcParams)
    settings = fl.style("double")
    assert dict(mpl.rcParams) == before and set(settings) <= set(before)
    with mpl.rc_context(settings):
        assert mpl.rcParams["axes.prop_cycle"].by_key()["color"][0] == "#1c6e8c"
        assert mpl.rcParams["figure.figsize"][0] == 7.0
    with pytest.raises(ValueError, match="width"):
        fl.style("wide")
