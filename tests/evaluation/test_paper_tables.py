"""The paper's numbers, and the rows that belong to a run."""

from colddiff_jax.evaluation.paper_tables import (
    GENERATION,
    RESTORATION,
    Number,
    data_set_name,
    rows_for,
)
from configs import animorph, cifar_mask, mnist_blur


def test_numbers_with_a_source_are_marked_as_verified():
    verified = {
        (*key, method, name): number.value
        for key, rows in RESTORATION.items()
        for method, row in rows.items()
        for name, number in row._asdict().items()
        if number.verified
    }
    table_1 = {key: value for key, value in verified.items() if key[0] == "deblurring"}
    assert len(table_1) == 9 + 9 + 2
    rest = {key[:4]: value for key, value in verified.items() if key not in table_1}
    assert rest == {
        ("inpainting", "mnist", "alg2", "fid"): 1.61,
        ("inpainting", "mnist", "direct", "fid"): 2.24,
        ("inpainting", "cifar10", "alg2", "fid"): 8.92,
        ("inpainting", "cifar10", "direct", "fid"): 9.97,
        ("inpainting", "celeb_a", "alg2", "fid"): 5.73,
        ("inpainting", "celeb_a", "direct", "fid"): 7.74,
        ("super-resolution", "cifar10", "alg2", "fid"): 152.76,
        ("colorization", "cifar10", "alg2", "ssim"): 0.942,
    }
    assert len(RESTORATION) == 13 and sum(map(len, RESTORATION.values())) == 35
    assert [n.value for g in GENERATION.values() for n in g.values() if n.verified] == [
        23.11,
        49.45,
        20.59,
        54.68,
    ]


def test_scores_are_in_the_right_columns():
    for rows in RESTORATION.values():
        for row in rows.values():
            assert 1 < row.fid.value < 500
            assert 0 < row.rmse.value < 0.4 and 0 < row.ssim.value < 1


def test_a_run_finds_its_rows():
    config = mnist_blur.get_config()
    assert rows_for(config, data_set_name(config))["alg2"].rmse == Number(0.154, True)
    config = cifar_mask.get_config()
    config.data.source = "npz"
    config.data.path = "somewhere/cifar10.npz"
    assert rows_for(config, data_set_name(config))["direct"].fid == Number(9.97, True)
    config.data.path = "somewhere/photos.npz"
    assert rows_for(config, data_set_name(config)) == {}
    config = animorph.get_config()
    assert rows_for(config, data_set_name(config)) == {}
    config.data.source, config.data.name = "tfds", "celeb_a_hq"
    assert data_set_name(config) == "celeb_a"
    config.data.source = "digits"
    assert data_set_name(config) == "digits"
    config.data.source = "tfds"
    for name, known in (("mnist:3.0.1", "mnist"), ("celebrity_dogs", "celebrity_dogs")):
        config.data.name = name
        assert data_set_name(config) == known
