"""Jobs: where a corpus is cut, which jobs are left, and how a job is scored and packed."""

import numpy as np
import pytest

from gliner_distill.corpus.statistics import scan_corpus
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import CorpusError, StoreError, TeacherError
from gliner_distill.labeling.jobs import (
    LocalWorkers,
    ShardJob,
    ShardLimits,
    ShardPlan,
    score_job,
    shard_jobs,
)
from gliner_distill.labeling.policy import LabelPolicy, LabelSampler
from gliner_distill.store.quantization import COMPACT
from gliner_distill.store.shards import decode_shard
from gliner_distill.teacher.ensemble import TeacherEnsemble

LEXICON = {"paris": "city", "mary": "person"}
CORPUS = [
    Passage(("paris", f"n{place}"), (Entity(0, 1, "city"),), labels=("person",))
    for place in range(10)
]
POLICY = LabelPolicy()
SCAN = scan_corpus(CORPUS)


def jobs(corpus=CORPUS, *, limits, done=None):
    sampler = LabelSampler(POLICY, SCAN.label_counts)
    return list(shard_jobs(corpus, sampler, SCAN.fingerprint, limits, done=done or {}))


def plan(keep_individual=False):
    return ShardPlan(POLICY, COMPACT, keep_individual, "s" * 64, "lexicon", "f" * 64)


def test_shard_jobs_cuts_at_the_limit_of_passages():
    cut = jobs(limits=ShardLimits(passages=4))
    assert [job.index for job in cut] == [0, 1, 2]
    assert [passage for job in cut for passage in job.passages] == CORPUS
    assert [len(job.passages) for job in cut] == [4, 4, 2]
    assert {labels for job in cut for labels in job.labels} == {("city", "person")}


@pytest.mark.parametrize(("pairs", "sizes"), [(8, [2] * 5), (9, [2] * 5), (1, [1] * 10)])
def test_shard_jobs_cuts_at_the_limit_of_pairs(pairs, sizes):
    # A passage has two words and two labels: four pairs.
    cut = jobs(limits=ShardLimits(passages=100, pairs=pairs))
    assert [len(job.passages) for job in cut] == sizes


def test_shard_jobs_leaves_out_finished_shards():
    limits = ShardLimits(passages=4)
    assert [job.index for job in jobs(limits=limits, done={0: 4, 2: 2})] == [1]
    assert jobs(limits=limits, done={0: 4, 1: 4, 2: 2}) == []


def test_shard_jobs_refuses_a_finished_shard_of_another_size():
    with pytest.raises(StoreError, match="shard 1 holds 3 passages; expected 4"):
        jobs(limits=ShardLimits(passages=4), done={1: 3})


def test_shard_jobs_refuses_a_changed_corpus_before_the_last_job():
    sampler, received = LabelSampler(POLICY, SCAN.label_counts), []

    def receive():
        changed = shard_jobs(CORPUS[:-1], sampler, SCAN.fingerprint, ShardLimits(4), done={})
        for job in changed:
            received.append(job.index)

    with pytest.raises(CorpusError, match="changed"):
        receive()
    assert received == [0, 1]


def test_score_job_returns_the_answers_beside_passages_and_labels(lexicon_teacher):
    [job] = jobs(limits=ShardLimits())
    items = score_job(job, lexicon_teacher(LEXICON), POLICY)
    assert [item.passage for item in items] == CORPUS
    assert {item.labels for item in items} == {("city", "person")}
    assert all(item.probs.shape == (2, 2, 3) for item in items)
    assert all(item.individual_probs == () for item in items)


def test_score_job_keeps_the_answers_of_an_ensemble(lexicon_teacher):
    teachers = [
        lexicon_teacher(LEXICON, name="A", fingerprint="a" * 64),
        lexicon_teacher({}, name="B", fingerprint="b" * 64),
    ]
    [job] = jobs(limits=ShardLimits())
    items = score_job(job, TeacherEnsemble(teachers), POLICY, keep_individual=True)
    for item in items:
        first, second = item.individual_probs
        np.testing.assert_allclose(item.probs, (first + second) / 2, atol=1e-6)
        assert (first != second).any()


def test_score_job_refuses_individual_answers_of_a_single_teacher(lexicon_teacher):
    with pytest.raises(TeacherError, match="lexicon"):
        score_job(ShardJob(0), lexicon_teacher(LEXICON), POLICY, keep_individual=True)


def test_local_workers_make_the_shards_in_order(lexicon_teacher):
    teacher = lexicon_teacher(LEXICON)
    source = jobs(limits=ShardLimits(passages=4))
    made = [make() for make in LocalWorkers().pack_shards(lambda: iter(source), plan(), teacher)]
    assert [shard.index for shard, _ in made] == [0, 1, 2]
    items = [item for _, content in made for item in decode_shard(content, COMPACT)]
    assert [item.words for item in items] == [passage.words for passage in CORPUS]
