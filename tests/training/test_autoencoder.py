import json
from io import BytesIO
from itertools import islice

import pytest
import torch
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from mmi_agent import MMInterleaved
from mmi_agent.checkpoints.adapters import read_adapter, read_tensors
from mmi_agent.cli.app import app
from mmi_agent.errors import ConfigError
from mmi_agent.models.configs import tiny
from mmi_agent.models.image_decoder import ImageDecoder
from mmi_agent.pictures import MemoryPictures
from mmi_agent.training.autoencoder import AutoencoderPlan, AutoencoderTrainer
from mmi_agent.training.commit import commit_of_code
from mmi_agent.training.picture_stream import PictureSource, PictureStream, Pool, held_back_pictures, open_sources
from mmi_agent.training.reconstruction import Reconstruction, fold_latents, reconstruct, reconstruction_loss


def mmi(*arguments) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(map(str, arguments)), prog_name="mmi")
    return result.exit_code, result.output


@pytest.fixture
def data(tmp_path):
    """Forty pictures of boxes and letters, of which every fourth sample has none."""
    lines = []
    for number in range(40):
        image = Image.new("RGB", (48, 40), "white")
        pen = ImageDraw.Draw(image)
        pen.rectangle((number % 20, 5, 20 + number % 20, 30), fill=(number * 6, 80, 255 - number * 6), outline="black")
        pen.text((4, 20), f"{number}", fill="black")
        image.save(tmp_path / f"{number}.png")
        picture = [{"picture": f"{number}.png"}] if number % 4 else []
        lines.append({"parts": [{"text": "a box"}, *picture, {"text": " seen", "learnt": True}]})
    path = tmp_path / "boxes.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def colours(stream, number):
    return [pixels.float().mean().item() for pixels in islice(stream, number)]


def test_pictures_come_in_the_order_of_the_seed_whoever_decodes_them(data):
    sources = open_sources([str(data)])

    def stream_of(seed: int, workers: int = 0, place: int = 0) -> PictureStream:
        return PictureStream(sources, side_px=32, seed=seed, workers=workers, held_back=0.2, place=place)

    first = colours(stream := stream_of(3), 30)
    assert colours(stream_of(3, workers=2), 30) == first
    assert colours(stream_of(4), 30) != first
    rest = colours(stream_of(3, place=stream.place - 1), 1)
    assert rest == first[-1:], "it goes on where it was"
    held = held_back_pictures(sources, side_px=32, workers=0, held_back=0.2, most=100)
    apart = {pixels.float().mean().item() for pixels in held}
    assert 1 <= len(held) <= 20 and not apart & set(first)


def test_a_pool_gives_what_is_new_and_some_of_what_it_has_kept():
    pool = Pool(5, 2, torch.device("cpu"))
    for number in range(7):
        pool.add(torch.full((1, 3, 2, 2), number, dtype=torch.uint8))
    values = pool.batch(64, new=2, generator=torch.Generator().manual_seed(0))[:, 0, 0, 0].tolist()
    assert values[:2] == [5, 6] and set(values) == {2, 3, 4, 5, 6}


def test_a_mistake_at_an_edge_costs_more_than_the_same_elsewhere():
    wanted = torch.full((1, 3, 32, 32), -1.0)
    wanted[..., 16:] = 1

    def cost(column):
        made = wanted.clone()
        made[..., 16, column] += 0.5
        nothing = torch.zeros(1, 4, 4, 4)
        return reconstruction_loss(Reconstruction(made, nothing, nothing), wanted).item()

    assert cost(15) > 1.5 * cost(4)


def test_folding_changes_latents_and_no_picture():
    torch.manual_seed(0)
    decoder = ImageDecoder(tiny().image_decoder).eval()  # pyright: ignore[reportArgumentType]
    with torch.no_grad():
        decoder.autoencoder.quant_conv.bias.uniform_(-3, 3)
    pixels, noise = torch.rand(24, 3, 32, 32), torch.randn(24, 4, 16, 16)
    before = reconstruct(decoder.autoencoder, pixels)
    with torch.no_grad():
        noisy_before = decoder.decode(decoder.encode(pixels, noise))
        fold_latents(decoder.autoencoder, pixels, scale=decoder.config.autoencoder.scale)
        latents = decoder.encode(pixels, noise)
        noisy_after = decoder.decode(latents)
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(4), atol=0.05, rtol=0)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(4), atol=0.05, rtol=0)
    torch.testing.assert_close(reconstruct(decoder.autoencoder, pixels), before, atol=1e-4, rtol=0)
    torch.testing.assert_close(noisy_after, noisy_before, atol=1e-4, rtol=0)


def test_the_rate_follows_steps_or_time():
    plan = AutoencoderPlan(steps=1000, seconds=100, learning_rate=1.0)
    assert plan.rate_at(0, 0) == pytest.approx(0.01)
    assert plan.rate_at(500, 10) == pytest.approx(0.5)
    assert plan.rate_at(200, 50) == pytest.approx(0.5)
    assert (plan.done(10, 100), plan.done(1000, 1)) == (1.0, 1.0)


def test_from_pictures_to_an_autoencoder_that_is_put_on(data, tmp_path):
    run = tmp_path / "run"
    asked = ("train", "autoencoder", "--preset", "tiny", "--data", data, "--out", run, "--batch", 8, "--lr", 0.01)
    asked = (*asked, "--workers", 1, "--held-back", 0.1, "--look-every", 40)
    code, said = mmi(*asked, "--steps", 40)
    assert code == 0, said
    first = json.loads((run / "log.jsonl").read_text().splitlines()[0])
    assert first["step"] == 20 and first["pictures_per_s"] > 0
    manifest = read_adapter(run / "adapter")
    assert manifest.steps == 40 and manifest.figures["psnr"] > 10 and manifest.commit == commit_of_code()
    tensors = read_tensors(run / "adapter", manifest)
    assert all(name.startswith("image_decoder.autoencoder.") for name in tensors)

    loaded = MMInterleaved.from_pretrained("tiny", weights=str(run / "adapter"))
    bare = MMInterleaved.from_pretrained("tiny", weights="base")
    pixels = next(iter(PictureStream(open_sources([str(data)]), side_px=32, seed=0, workers=0))).float() / 255
    errors = [
        (reconstruct(each.model.drawing.autoencoder, pixels) - pixels).abs().mean().item() for each in (loaded, bare)
    ]
    assert errors[0] < 0.7 * errors[1]
    page = (run / "reconstructions.html").read_text()
    assert page.count("<img") >= 2 and "http" not in page

    again = mmi(*asked, "--steps", 40)
    assert again[0] == 0 and "adapter: 40 steps" in again[1].replace("\n", "")
    code, said = mmi(*asked, "--steps", 45)
    assert code == 0 and "adapter: 45 steps" in said.replace("\n", ""), "it is of the weights as they are now"
    assert read_adapter(run / "adapter").steps == 45
    code, said = mmi(*asked, "--steps", 40, "--seed", 1)
    assert code == 1 and "give another --out" in said


def test_a_run_that_was_stopped_goes_on_along_its_curve(data, tmp_path):
    source = open_sources([str(data)])

    def trainer(folder) -> AutoencoderTrainer:
        model = MMInterleaved.from_pretrained("tiny", weights="base").model
        plan = AutoencoderPlan(steps=8, batch=4, echo=1, log_every=1, workers=0)
        device = torch.device("cpu")
        return AutoencoderTrainer(
            model.drawing.autoencoder, image_size=32, plan=plan, sources=source, folder=folder, base="b", device=device
        )

    whole, part = trainer(tmp_path / "whole"), trainer(tmp_path / "part")
    whole.run()
    part.run(lambda report: part.stop() if report.step == 4 else None)
    assert not part.done
    rest = trainer(tmp_path / "part")
    assert rest.state.step == 4
    rest.run()
    for name, weight in whole.averaged().named_parameters():
        torch.testing.assert_close(dict(rest.averaged().named_parameters())[name], weight, msg=name)
    steps = [json.loads(line)["step"] for line in (tmp_path / "part" / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 9))


def test_a_run_that_fails_before_its_first_step_does_not_keep_its_folder(data, tmp_path):
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"parts": [{"text": "no picture", "learnt": true}]}\n')
    asked = ("train", "autoencoder", "--preset", "tiny", "--out", tmp_path / "run", "--steps", 1, "--workers", 0)
    code, said = mmi(*asked, "--data", texts)
    assert (code, "none of 1 samples has a picture" in said) == (1, True), said
    code, said = mmi(*asked, "--data", data, "--batch", 4)
    assert code == 0, said


def test_a_plan_that_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="a batch of 20000 pictures is more than the 16384"):
        AutoencoderPlan(steps=1, batch=20_000)
    for rate in (-1.0, float("nan")):
        with pytest.raises(ConfigError, match=f"learning rate is {rate:g}"):
            AutoencoderPlan(steps=1, learning_rate=rate)


def test_pictures_that_are_none_are_passed_over(data):
    class Odd:
        name, form = "odd", "parts"

        def __len__(self) -> int:
            return 2

        def source(self, number):
            return f"odd {number}"

        def __getitem__(self, number):
            return open_sources([str(data)])[0].reader[1] if number else _broken_sample()

    stream = PictureStream([PictureSource(Odd(), None, "f")], side_px=32, seed=0, workers=0)  # pyright: ignore[reportArgumentType]
    assert [len(pixels) for pixels in islice(stream, 3)] == [1, 1, 1]


def _broken_sample():
    from mmi_agent.data.sample import Sample
    from mmi_agent.inference.prompts import Part

    store, buffer = MemoryPictures(), BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    picture = store.put(buffer.getvalue())
    store._files[picture.digest] = b"none"
    return Sample(parts=(Part(picture),), pictures=store, source="odd 0")
