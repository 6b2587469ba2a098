import random

import pytest
import torch

from mmi_agent.errors import ConfigError, ShapeError
from mmi_agent.models.feature_synchronizer import (
    FeatureSynchronizer,
    FeatureSynchronizerConfig,
    PictureMemory,
    picture_ranks,
)

CONFIG = FeatureSynchronizerConfig(
    token_width=12, feature_width=8, value_width=8, level_widths=(4, 2), num_heads=2, num_points=3, num_ranks=4
)


@pytest.fixture
def synchronizer():
    module = FeatureSynchronizer(CONFIG)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return module.requires_grad_(False)


def test_what_is_out_of_sight_has_no_say(synchronizer):
    tokens_BTC = torch.randn(2, 3, 12)
    values_BISND = synchronizer.project(torch.randn(2, 3, 20, 8))
    visible_BTI = torch.tensor([[[1, 0, 1], [0, 0, 1], [0, 0, 0]], [[0, 1, 0], [1, 1, 1], [1, 1, 0]]]).bool()
    together_BTC = synchronizer(tokens_BTC, values_BISND, visible_BTI)
    for row, token in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
        seen_1ISND = values_BISND[row : row + 1, visible_BTI[row, token]]
        alone_11C = synchronizer(tokens_BTC[row : row + 1, token : token + 1], seen_1ISND)
        torch.testing.assert_close(together_BTC[row, token], alone_11C[0, 0])


def test_no_picture_leaves_what_is_ignored(synchronizer):
    constant_C = synchronizer.output(synchronizer.ignore)
    values_BISND = synchronizer.project(torch.randn(1, 2, 20, 8))
    unseen_BTC = synchronizer(torch.randn(1, 5, 12), values_BISND, torch.zeros(1, 5, 2).bool())
    torch.testing.assert_close(unseen_BTC, constant_C.expand(1, 5, 12))
    torch.testing.assert_close(synchronizer(torch.randn(1, 5, 12), None), unseen_BTC)


def test_only_the_latest_pictures_that_ranks_tell_apart_are_looked_at(synchronizer):
    tokens_BTC, values_BISND = torch.randn(1, 5, 12), synchronizer.project(torch.randn(1, 7, 20, 8))
    torch.testing.assert_close(synchronizer(tokens_BTC, values_BISND), synchronizer(tokens_BTC, values_BISND[:, -3:]))


def test_rows_share_one_row_of_pictures(synchronizer):
    tokens_BTC, values_1ISND = torch.randn(4, 5, 12), synchronizer.project(torch.randn(1, 2, 20, 8))
    visible_1TI = torch.rand(1, 5, 2) < 0.5
    torch.testing.assert_close(
        synchronizer(tokens_BTC, values_1ISND, visible_1TI),
        synchronizer(tokens_BTC, values_1ISND.expand(4, -1, -1, -1, -1), visible_1TI.expand(4, -1, -1)),
    )


def test_shapes_that_do_not_fit_are_refused(synchronizer):
    values_BISND = synchronizer.project(torch.randn(2, 3, 20, 8))
    with pytest.raises(ShapeError, match=r"picture features must be .*\(20, 8\).*, got \(1, 1, 19, 8\)"):
        synchronizer.project(torch.randn(1, 1, 19, 8))
    with pytest.raises(ShapeError, match="3 rows of tokens cannot look"):
        synchronizer(torch.randn(3, 1, 12), values_BISND)
    with pytest.raises(ShapeError, match=r"visible \(2, 1, 4\)"):
        synchronizer(torch.randn(2, 1, 12), values_BISND, torch.ones(2, 1, 4).bool())
    with pytest.raises(ConfigError, match="value_width 9"):
        FeatureSynchronizerConfig(token_width=12, feature_width=8, value_width=9, num_heads=2)


def test_a_memory_goes_back_and_forks():
    memory = PictureMemory()
    for start in (3, 8, 8):
        memory.append([torch.full((1, 1, 4, 1, 1), float(start))], start=start)
    fork = memory.fork()
    memory.rewind(8)
    assert (len(memory), len(fork)) == (1, 3)
    memory.append([torch.zeros(1, 1, 4, 1, 1)], start=9)
    assert fork.values[0].flatten(1)[0, ::4].tolist() == [3, 8, 8]
    visible_BTI = fork.visible(2, 7)
    assert visible_BTI is not None and visible_BTI.sum(-1).tolist() == [[0, 1, 1, 1, 1, 1, 3]]
    assert fork.visible(8, 2) is None


@pytest.mark.parametrize("seed", range(3))
def test_memories_that_fork_and_go_back_never_see_each_others_pictures(seed):
    draw = random.Random(seed)
    memories, expected, number = [PictureMemory()], [[]], 0
    for _ in range(200):
        at = draw.randrange(len(memories))
        memory, numbers = memories[at], expected[at]
        match draw.choice(["append", "append", "append", "rewind", "fork"]):
            case "append":
                number += 1
                memory.append([torch.full((1, 1, 4, 1, 1), float(number))], start=len(numbers))
                numbers.append(number)
            case "rewind":
                length = draw.randint(0, len(numbers))
                memory.rewind(length)
                del numbers[length:]
            case _ if len(memories) < 8:
                memories.append(memory.fork())
                expected.append([*numbers])
            case _:
                pass
        for memory, numbers in zip(memories, expected, strict=True):
            assert [value[0, :, 0, 0, 0].tolist() for value in memory.values] == ([numbers] if numbers else [])


def test_adding_a_picture_copies_that_picture_alone():
    memory, moves, place = PictureMemory(), 0, None
    for start in range(100):
        memory.append([torch.zeros(1, 1, 4, 1, 1)], start=start)
        moves += memory.values[0].data_ptr() != place
        place = memory.values[0].data_ptr()
    assert moves <= 8
    fork = memory.fork()
    memory.append([torch.zeros(1, 1, 4, 1, 1)], start=100)
    assert memory.values[0].data_ptr() == fork.values[0].data_ptr() == place
    fork.append([torch.ones(1, 1, 4, 1, 1)], start=100)
    assert fork.values[0].data_ptr() != place and not memory.values[0].any()


def test_a_table_of_ranks_is_projected_once(synchronizer):
    tokens_BTC, values_BISND = torch.randn(2, 3, 12), synchronizer.project(torch.randn(2, 3, 20, 8))
    visible_BTI = torch.rand(2, 3, 3) < 0.6
    seen_BTC = synchronizer(tokens_BTC, values_BISND, visible_BTI)
    table, ranks_BTI = synchronizer.rank_table(), picture_ranks(visible_BTI, CONFIG.num_ranks)
    synchronizer.rank.weight.zero_()  # from here on the table must do
    assert torch.equal(synchronizer.look(tokens_BTC, values_BISND, ranks_BTI, table), seen_BTC)
    assert not torch.allclose(synchronizer(tokens_BTC, values_BISND, visible_BTI), seen_BTC)
