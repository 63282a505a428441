"""`musewatch evaluate protocol`: encoders, verifiers and re-rankers over sets, as one table."""

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from pipeline import registry, settings
from pipeline.calls import Guests
from pipeline.errors import ConfigError, InputError
from pipeline.output import JsonOption, console, print_json, say
from pipeline.plugged import PluggedCodec, PluggedEmbedder
from pipeline.rerank import Distances, MuEntries
from trainers.datasets.search import PictureSearch, listed, market_tree, official
from trainers.evaluate.encoding import Encoding
from trainers.evaluate.feature_cache import FeatureCache
from trainers.evaluate.feature_set import FeatureSet, Opinions, opinions_of, read_arrays, read_features
from trainers.evaluate.protocol_file import Protocol, kinds_of, load_protocol, tuning_of
from trainers.evaluate.rank_page import write_rank_page
from trainers.evaluate.rerankers import Reranker, choose
from trainers.evaluate.result_table import markdown, need_plots, write_tables
from trainers.evaluate.rules import RULES


def protocol(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="YAML: sets, encoders, verifiers, re-rankers.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the tables go.")],
    as_json: JsonOption = False,
) -> None:
    """Runs a whole comparison; leaves table.md, table.csv, table.json, table.png and rank pages."""
    need_plots()
    plan = load_protocol(file)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{out} cannot be made: {error.strerror}") from None
    rows = list(Runs(plan, file.resolve().parent, out).rows())
    if not rows:
        raise ConfigError(
            f"{file}: no encoder and target fit the protocols {', '.join(plan.protocols)}",
            "an encoder's sources say what it was trained on; grid takes every pair",
        )
    write_tables(plan.title, rows, out)
    if as_json:
        print_json({"title": plan.title, "rows": rows, "out": str(out)})
    else:
        console().print(markdown(plan.title, rows), markup=False)


PATIENCE_S = 3600.0  # for a call of an encoder: nobody waits for its answer, and some have no GPU


class Runs:
    """All runs of a protocol file, one (encoder, target) at a time."""

    def __init__(self, plan: Protocol, base_dir: Path, out: Path) -> None:
        self._plan, self._base_dir, self._out = plan, base_dir, out
        self._codec = PluggedCodec.of(registry.build("codec", settings.choose("opencv"), base_dir, "codec"))
        self._rerankers = [_reranker(choice) for choice in plan.rerank]

    def rows(self) -> Iterator[dict[str, Any]]:
        """The table's rows, in the order of encoders and targets."""
        with FeatureCache(self._plan.cache) as cache:
            for encoder in self._plan.encoders:
                encoding = self._encoding(encoder, cache)
                for target in self._plan.searched:
                    if kinds := kinds_of(self._plan, encoder, target):
                        yield from self._run(encoder, encoding, target, kinds)
                if encoding is not None:
                    say(
                        f"musewatch: {encoder}: {encoding.made} pictures embedded, the others were in the cache"
                    )

    def _encoding(self, name: str, cache: FeatureCache) -> Encoding | None:
        choice = self._plan.encoders[name].embedder
        if choice is None:
            return None
        embedder = PluggedEmbedder.of(
            registry.build("embedder", choice, self._base_dir, f"encoders.{name}.embedder"),
            Guests(call_s=PATIENCE_S),
            choice.use,
        )
        digest = embedder.facts.engine_digest or _digest_of(choice)
        return Encoding(embedder, digest, cache, embedder.embed_text if embedder.facts.reads_text else None)

    def _run(
        self, encoder: str, encoding: Encoding | None, target: str, kinds: tuple[str, ...]
    ) -> Iterator[dict[str, Any]]:
        pictures = self._pictures(target)
        data = self._features(encoder, encoding, target, pictures)
        d = data.distances(self._plan.metric)
        intra = target in self._plan.encoders[encoder].sources
        alpha = self._plan.alpha_intra if intra else self._plan.alpha
        for verifier, tuning, opinions in self._opinions(encoder, target, data):
            mu = None
            if opinions is not None:
                shortlist = opinions.nearest(d, self._plan.top_c)
                mu = MuEntries(shortlist.candidates, shortlist.p_no, alpha)
            for reranker in self._rerankers:
                table, seconds = self._reranked(reranker, d, data, mu)
                self._show(
                    [encoder, target, reranker.name, *([verifier] if verifier else [])], pictures, data, table
                )
                known = {
                    "sources": "+".join(self._plan.encoders[encoder].sources), "target": target,
                    "encoder": encoder, "verifier": verifier, "tuning": tuning, "rerank": reranker.name,
                    "params": dict(reranker.params), "alpha": alpha if mu else None, "seconds": round(seconds, 4),
                }  # fmt: skip
                yield from self._scored(table, data, known, kinds)

    def _scored(
        self, table: NDArray[np.float32], data: FeatureSet, known: dict[str, Any], kinds: tuple[str, ...]
    ) -> Iterator[dict[str, Any]]:
        for rule in self._plan.sets[known["target"]].rules:
            try:
                scores = RULES[rule](table, data)
            except InputError as error:
                raise InputError(f"set {known['target']}, rule {rule}: {error.problem}", error.fix) from None
            for kind in kinds:
                yield {"protocol": kind, "rule": rule, **known, **scores}

    def _pictures(self, target: str) -> PictureSearch | None:
        wanted = self._plan.sets[target]
        if wanted.table is not None:
            return listed(wanted.table, wanted.pictures)
        if wanted.layout is not None and wanted.pictures is not None:
            return official(wanted.layout, wanted.pictures, wanted.trial)
        return market_tree(wanted.pictures) if wanted.pictures is not None else None

    def _features(
        self, encoder: str, encoding: Encoding | None, target: str, pictures: PictureSearch | None
    ) -> FeatureSet:
        if encoding is None:
            return read_features(
                _filled(self._plan.encoders[encoder].features, encoder, target), self._plan.tau
            )
        if pictures is None:
            raise ConfigError(f"sets.{target}: encoder {encoder} needs pictures", "give pictures or a table")
        return encoding.features(pictures)

    def _opinions(
        self, encoder: str, target: str, data: FeatureSet
    ) -> Iterator[tuple[str, str, Opinions | None]]:
        """Nobody's first; then those of verifiers whose tuning fits the run, and of the feature file itself."""
        yield "", "", None
        if data.opinions is not None:
            yield "features", "", data.opinions
        for name, verifier in self._plan.verifiers.items():
            tuning = tuning_of(self._plan, name, encoder, target)
            if tuning in self._plan.tuning:
                path = _filled(verifier.answers, encoder, target)
                yield name, tuning, _answers(path, self._plan.tau, data)

    def _reranked(
        self, reranker: Reranker, d: Distances, data: FeatureSet, mu: MuEntries | None
    ) -> tuple[NDArray[np.float32], float]:
        begun = time.perf_counter()
        table = np.empty((d.n_queries, d.n_gallery), np.float32)
        cameras = data.query_cameras, data.gallery_cameras
        for start, block in reranker.blocks(d, *cameras, mu, self._plan.device):
            table[start : start + len(block)] = block
        return table, time.perf_counter() - begun

    def _show(
        self, run: list[str], pictures: PictureSearch | None, data: FeatureSet, table: NDArray[np.float32]
    ) -> None:
        if self._plan.rank_pages and pictures is not None:
            path = self._out / f"ranks-{'-'.join(run)}.html"
            title = f"{self._plan.title}: {', '.join(run)}"
            write_rank_page(path, title, pictures, data, table, self._codec, self._plan.rank_pages)


def _reranker(choice: settings.PluginChoice | str) -> Reranker:
    if isinstance(choice, str):
        return choose([choice])[0]
    return choose([choice.use], [f"{key}={value}" for key, value in choice.settings.items()])[0]


def _digest_of(choice: settings.PluginChoice) -> str:
    text = json.dumps({"use": choice.use, **choice.settings}, sort_keys=True, default=str)
    return f"settings:{hashlib.sha256(text.encode()).hexdigest()}"


def _filled(template: Path | None, encoder: str, target: str) -> Path:
    return Path(str(template).replace("{encoder}", encoder).replace("{set}", target))


def _answers(path: Path, tau: float, data: FeatureSet) -> Opinions:
    try:
        opinions = opinions_of(read_arrays(path), tau)
        if opinions is None:
            raise InputError("no candidates", "it needs candidates, and p_no or s_yes and s_no")
        MuEntries(opinions.candidates, opinions.p_no, 0.0).check_range(
            len(data.query_ids), len(data.gallery_ids)
        )
    except InputError as error:
        raise InputError(f"{path}: {error.problem}", error.fix) from None
    return opinions
