"""The recognizer for Presidio behaves as Presidio's documentation promises of recognizers.

The engine is a blank English pipeline of spaCy that was saved to disk. The student is the one of
the package.
"""

import json
import logging
import math
import re
from pathlib import Path

import pytest

from gliner_distill.errors import InputError, StudentError

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "integrations" / "presidio.md"
TEXT = "My name is Maria Lopez, write to maria@example.com or visit me in Boston."
TEXTS = ["Ann Lee called.", "Write to ann.lee@example.com.", "The bus is late.", "Bo Carter left."]


@pytest.fixture(scope="module")
def presidio(needs):
    """Presidio's analyzer package."""
    return needs("presidio_analyzer")


@pytest.fixture(scope="module")
def ours(presidio):
    """The module under test."""
    from gliner_distill.integrations import presidio as module

    return module


@pytest.fixture(scope="module")
def pipeline(needs, tmp_path_factory):
    """The folder of a blank English pipeline."""
    folder = tmp_path_factory.mktemp("pipeline") / "blank_en"
    needs("spacy").blank("en").to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def engine(presidio, pipeline):
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    engine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": str(pipeline)}])
    engine.load()
    return engine


@pytest.fixture(scope="module")
def recognizer(ours):
    return ours.GLiNERDistillRecognizer(num_threads=1)


@pytest.fixture(scope="module")
def recording(ours):
    """A recognizer that remembers the texts and the labels that its student was asked for."""

    class RecordingRecognizer(ours.GLiNERDistillRecognizer):
        def find(self, texts, labels):
            self.asked.append((list(texts), list(labels)))
            return super().find(texts, labels)

    recognizer = RecordingRecognizer(num_threads=1)
    recognizer.asked = []
    return recognizer


@pytest.fixture
def asked(recording):
    """A list of the questions that the recording recognizer was asked during the test."""
    recording.asked.clear()
    return recording.asked


@pytest.fixture(scope="module")
def build_analyzer(presidio, engine):
    """A function that returns an analyzer with the given recognizers alone."""

    def build(*recognizers, nlp_engine=engine, **options):
        registry = presidio.RecognizerRegistry(recognizers=list(recognizers))
        return presidio.AnalyzerEngine(nlp_engine=nlp_engine, registry=registry, **options)

    return build


@pytest.fixture(scope="module")
def analyzer(build_analyzer, recognizer):
    return build_analyzer(recognizer)


def shown(text, results):
    """Return results as pairs of their text and their entity, in order of position."""
    ordered = sorted(results, key=lambda result: result.start)
    return [(text[result.start : result.end], result.entity_type) for result in ordered]


def test_analyzer_returns_entities_with_score_and_origin(analyzer, recognizer):
    results = analyzer.analyze(TEXT, language="en")
    assert shown(TEXT, results) == [
        ("Maria Lopez", "PERSON"),
        ("maria@example.com", "EMAIL_ADDRESS"),
        ("Boston", "LOCATION"),
    ]
    for result in results:
        assert 0.5 < result.score <= 1
        assert result.recognition_metadata == {
            "recognizer_name": "GLiNERDistillRecognizer",
            "recognizer_identifier": recognizer.id,
        }
        assert result.analysis_explanation is None


def test_analyzer_lists_our_entities(analyzer, ours):
    assert set(analyzer.get_supported_entities("en")) == set(ours.DEFAULT_MAPPING.values())


def test_only_the_labels_of_requested_entities_are_asked(build_analyzer, recording, asked):
    results = build_analyzer(recording).analyze(TEXT, "en", entities=["LOCATION"])
    assert shown(TEXT, results) == [("Boston", "LOCATION")]
    assert asked == [([TEXT], ["location", "street address"])]


def test_all_labels_are_asked_without_a_request(recording, asked, ours):
    recording.analyze(TEXT, None)
    recording.analyze(TEXT, [])
    assert asked == [([TEXT], list(ours.DEFAULT_MAPPING))] * 2


def test_a_request_may_be_a_single_name(recording, asked):
    assert shown(TEXT, recording.analyze(TEXT, "PERSON")) == [("Maria Lopez", "PERSON")]
    assert asked == [([TEXT], ["person"])]


def test_student_is_not_asked_for_entities_of_other_recognizers(recording, asked):
    assert recording.analyze(TEXT, ["US_SSN"]) == []
    assert asked == []


def test_request_for_an_unknown_entity_is_logged_by_presidio(analyzer, caplog):
    results = analyzer.analyze(TEXT, "en", entities=["PERSON", "STAR_SIGN"])
    assert shown(TEXT, results) == [("Maria Lopez", "PERSON")]
    assert "STAR_SIGN" in caplog.text


def test_supported_entities_restrict_the_mapping(ours):
    recognizer = ours.GLiNERDistillRecognizer(["PERSON", "DATE_TIME"], num_threads=1)
    assert recognizer.supported_entities == ["PERSON", "DATE_TIME"]
    assert list(recognizer.entity_mapping) == ["person", "date", "date of birth"]


def test_own_mapping_names_the_entities(ours, build_analyzer):
    mapping = {"fruit": "FOOD", "name of a person": "CUSTOMER"}
    recognizer = ours.GLiNERDistillRecognizer(entity_mapping=mapping, num_threads=1)
    text = "Ann Lee ate an apple."
    results = build_analyzer(recognizer).analyze(text, "en")
    assert shown(text, results) == [("Ann Lee", "CUSTOMER"), ("apple", "FOOD")]


def test_recognizer_serves_its_language_alone(ours, presidio, recognizer, caplog):
    german = ours.GLiNERDistillRecognizer(supported_language="de", num_threads=1)
    (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert record.name == "presidio-analyzer"
    assert "'de'" in record.getMessage()
    registry = presidio.RecognizerRegistry([german, recognizer], supported_languages=["de", "en"])
    assert registry.get_recognizers("de", all_fields=True) == [german]
    assert registry.get_recognizers("en", all_fields=True) == [recognizer]


def test_context_words_raise_the_score(ours, build_analyzer, presidio, needs, tmp_path):
    pipeline = needs("spacy").blank("en")
    # Presidio compares lemmas, which a blank pipeline does not have.
    pipeline.add_pipe("attribute_ruler").add([[{"LOWER": "patient"}]], {"LEMMA": "patient"})
    pipeline.to_disk(tmp_path / "lemmas")
    models = [{"lang_code": "en", "model_name": str(tmp_path / "lemmas")}]
    engine = presidio.nlp_engine.SpacyNlpEngine(models=models)
    text = "Signed by patient Maria Lopez."
    (plain,), (helped,) = (
        build_analyzer(
            ours.GLiNERDistillRecognizer(["PERSON"], context=context, num_threads=1),
            nlp_engine=engine,
        ).analyze(text, "en", return_decision_process=True)
        for context in (None, ["patient"])
    )
    assert shown(text, [plain]) == shown(text, [helped]) == [("Maria Lopez", "PERSON")]
    assert plain.score < helped.score == pytest.approx(min(1, plain.score + 0.35))
    assert helped.analysis_explanation.original_score == plain.score
    assert helped.analysis_explanation.supportive_context_word == "patient"


def test_context_of_a_call_raises_the_score(ours, build_analyzer):
    recognizer = ours.GLiNERDistillRecognizer(["PERSON"], context=["patient"], num_threads=1)
    (result,) = build_analyzer(recognizer).analyze("Maria Lopez left.", "en", context=["patient"])
    assert result.score == 1


def test_decision_process_explains_each_result(analyzer):
    results = analyzer.analyze(TEXT, "en", return_decision_process=True)
    explained = {result.entity_type: result.analysis_explanation for result in results}
    assert explained["PERSON"].recognizer == "GLiNERDistillRecognizer"
    assert explained["PERSON"].original_score == explained["PERSON"].score > 0.5
    assert "'person'" in explained["PERSON"].textual_explanation
    assert "pattern" in explained["EMAIL_ADDRESS"].textual_explanation


def test_allow_list_removes_results(analyzer):
    results = analyzer.analyze(TEXT, "en", allow_list=["Maria Lopez", "Boston"])
    assert shown(TEXT, results) == [("maria@example.com", "EMAIL_ADDRESS")]


def test_score_threshold_of_a_call_removes_results(analyzer):
    results = analyzer.analyze(TEXT, "en", score_threshold=1.0)
    assert shown(TEXT, results) == [("maria@example.com", "EMAIL_ADDRESS")]


def test_a_lower_threshold_finds_more(ours):
    text = "Talked to bo, thx."
    bold, timid = (
        ours.GLiNERDistillRecognizer(["PERSON"], threshold=threshold, num_threads=1)
        for threshold in (0.01, 0.99)
    )
    assert len(bold.analyze(text)) > len(timid.analyze(text))


def test_what_checked_patterns_refuse_rarely_counts(ours):
    text = "IBAN: GB82 WEST 1234 5698 7654 99, Ann Lee"  # its check digits are wrong
    labels = {"iban": "IBAN_CODE", "person": "PERSON"}
    strict = ours.GLiNERDistillRecognizer(entity_mapping=labels, num_threads=1)
    assert strict.thresholds == {"iban": 0.9}
    assert shown(text, strict.analyze(text)) == [("Ann Lee", "PERSON")]
    eager = ours.GLiNERDistillRecognizer(
        entity_mapping=labels, thresholds={"iban": 0.1, "person": 1.0}, num_threads=1
    )
    assert {entity for _, entity in shown(text, eager.analyze(text))} == {"IBAN_CODE"}


def test_thresholds_of_labels_that_are_left_out_are_left_out(ours):
    recognizer = ours.GLiNERDistillRecognizer(
        ["PERSON"], thresholds={"Person": 0.3, "date": 0.4}, num_threads=1
    )
    assert recognizer.thresholds == {"Person": 0.3}
    again = ours.GLiNERDistillRecognizer.from_dict(recognizer.to_dict())
    assert again.to_dict() == recognizer.to_dict()


def test_recognizer_may_be_given_for_one_call(presidio, engine, recognizer):
    analyzer = presidio.AnalyzerEngine(nlp_engine=engine)
    found = analyzer.analyze(TEXT, "en", ad_hoc_recognizers=[recognizer])
    assert ("Maria Lopez", "PERSON") in shown(TEXT, found)
    assert ("Maria Lopez", "PERSON") not in shown(TEXT, analyzer.analyze(TEXT, "en"))


def test_presidios_patterns_work_beside_it(presidio, engine, recognizer):
    analyzer = presidio.AnalyzerEngine(nlp_engine=engine)
    analyzer.registry.add_recognizer(recognizer)
    text = "Ann Lee has the social security number 536-90-4399."
    found = {
        (*pair, result.recognition_metadata["recognizer_name"])
        for result in analyzer.analyze(text, "en")
        for pair in shown(text, [result])
    }
    assert ("Ann Lee", "PERSON", "GLiNERDistillRecognizer") in found
    assert ("536-90-4399", "US_SSN", "UsSsnRecognizer") in found


def test_recognizer_can_be_removed_by_its_name(presidio, recognizer):
    registry = presidio.RecognizerRegistry(recognizers=[recognizer])
    registry.remove_recognizer("GLiNERDistillRecognizer")
    assert registry.recognizers == []


def test_dictionary_makes_an_equal_recognizer(ours):
    recognizer = ours.GLiNERDistillRecognizer(
        ["PERSON"], "names", context=["patient"], threshold=0.25, num_threads=1
    )
    stored = json.loads(json.dumps(recognizer.to_dict()))
    again = ours.GLiNERDistillRecognizer.from_dict(stored)
    assert again.to_dict() == recognizer.to_dict()
    assert (again.name, again.threshold, again.context) == ("names", 0.25, ["patient"])
    assert again.analyze(TEXT) == recognizer.analyze(TEXT)


def test_dictionary_names_the_folder_of_the_student(ours, tmp_path):
    folder = tmp_path / "student"
    ours.StudentNER.from_pretrained().save_pretrained(folder)
    recognizer = ours.GLiNERDistillRecognizer(model=folder, num_threads=1)
    assert recognizer.to_dict()["model"] == str(folder)
    assert ("Maria Lopez", "PERSON") in shown(TEXT, recognizer.analyze(TEXT))


# --- YAML ---------------------------------------------------------------------------------------


REGISTRY = """
supported_languages: [en]
recognizers:
  - name: EmailRecognizer
    type: predefined
  - name: people
    class_name: GLiNERDistillRecognizer
    type: predefined
    supported_languages:
      - language: en
        context: [patient]
    threshold: 0.4
    num_threads: 1
    entity_mapping:
      person: PERSON
      drug: MEDICATION
"""


def test_registry_file_names_the_recognizer_with_its_settings(presidio, ours, engine, tmp_path):
    file = tmp_path / "recognizers.yaml"
    file.write_text(REGISTRY)
    registry = presidio.recognizer_registry.RecognizerRegistryProvider(
        conf_file=file
    ).create_recognizer_registry()
    (recognizer,) = [each for each in registry.recognizers if each.name == "people"]
    assert type(recognizer) is ours.GLiNERDistillRecognizer
    assert recognizer.entity_mapping == {"person": "PERSON", "drug": "MEDICATION"}
    assert (recognizer.threshold, recognizer.context) == (0.4, ["patient"])
    analyzer = presidio.AnalyzerEngine(registry=registry, nlp_engine=engine)
    text = "Ann Lee takes aspirin."
    found = [("Ann Lee", "PERSON"), ("aspirin", "MEDICATION")]
    assert shown(text, analyzer.analyze(text, "en")) == found


def test_analyzer_file_names_the_recognizer(presidio, ours, pipeline, tmp_path):
    file = tmp_path / "analyzer.yaml"
    file.write_text(
        f"""
supported_languages: [en]
nlp_configuration:
  nlp_engine_name: spacy
  models:
    - lang_code: en
      model_name: {pipeline}
recognizer_registry:
  global_regex_flags: 26
  recognizers:
    - name: SpacyRecognizer
      type: predefined
    - name: GLiNERDistillRecognizer
      type: predefined
      supported_entities: [PERSON, LOCATION]
      num_threads: 1
"""
    )
    analyzer = presidio.AnalyzerEngineProvider(file).create_engine()
    assert shown(TEXT, analyzer.analyze(TEXT, "en")) == [
        ("Maria Lopez", "PERSON"),
        ("Boston", "LOCATION"),
    ]


def registry_of(presidio, **settings):
    recognizer = {"name": "GLiNERDistillRecognizer", "type": "predefined", **settings}
    configuration = {
        "supported_languages": ["en"],
        "global_regex_flags": 26,
        "recognizers": [recognizer],
    }
    return presidio.recognizer_registry.RecognizerRegistryProvider(
        registry_configuration=configuration
    ).create_recognizer_registry()


def test_setting_that_does_not_exist_is_an_error(presidio, ours):
    with pytest.raises(TypeError, match="treshold"):
        registry_of(presidio, treshold=0.3)


def test_wrong_values_in_a_file_are_errors(presidio, ours):
    with pytest.raises(InputError, match=r"threshold.*1\.5"):
        registry_of(presidio, threshold=1.5)
    with pytest.raises(StudentError, match="no/such/folder"):
        registry_of(presidio, model="no/such/folder")


# --- bad arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        ({"entity_mapping": {}}, "entity_mapping is {}"),
        ({"entity_mapping": ["person"]}, r"entity_mapping is \['person'\]"),
        ({"entity_mapping": {" ": "X"}}, "entity_mapping.*blank"),
        ({"entity_mapping": {"person": ""}}, "'person' is ''"),
        ({"entity_mapping": {"US": "A", "us": "B"}}, "entity_mapping.*'US' and 'us'"),
        ({"supported_entities": ["STAR_SIGN"]}, "'STAR_SIGN'.*'star sign'"),
        ({"supported_entities": []}, r"supported_entities is \[\]"),
        ({"supported_entities": "PERSON"}, "supported_entities is 'PERSON'"),
        ({"threshold": -0.1}, r"threshold is -0\.1"),
        ({"threshold": "0.5"}, r"threshold is '0\.5'"),
        ({"thresholds": {"person": 2}}, r"thresholds\['person'\] is 2"),
        ({"thresholds": {"DATES": 0.9}}, "thresholds: 'DATES' is not in entity_mapping"),
        ({"thresholds": {"LOCATION": 0.9}}, "'LOCATION' is the name.*'location', 'street address'"),
        ({"num_threads": 0}, "num_threads is 0"),
    ],
)
def test_wrong_argument_is_one_clear_error(ours, arguments, facts):
    with pytest.raises(InputError, match=facts) as caught:
        ours.GLiNERDistillRecognizer(**arguments)
    assert isinstance(caught.value, ValueError)


def test_missing_student_is_one_clear_error(ours, tmp_path, caplog):
    with pytest.raises(StudentError, match=r"nowhere.*does not exist") as caught:
        ours.GLiNERDistillRecognizer(model=tmp_path / "nowhere", name="names")
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert record.name == "presidio-analyzer"
    assert record.getMessage() == f"names: the student cannot be loaded: {caught.value}"


def test_batching_engine_needs_at_least_one_text(ours, engine):
    with pytest.raises(InputError, match="0"):
        ours.BatchingNlpEngine(engine, n_texts=0)


# --- batches ------------------------------------------------------------------------------------


@pytest.fixture
def batch_analyzer(presidio, ours, build_analyzer, recording, engine, asked):
    """Presidio's batch analyzer, with the recording recognizer and three texts per batch."""
    analyzer = build_analyzer(recording)
    analyzer.nlp_engine = ours.BatchingNlpEngine(engine, n_texts=3)
    return presidio.BatchAnalyzerEngine(analyzer)


def test_batch_analyzer_asks_the_student_for_many_texts(batch_analyzer, analyzer, asked):
    results = batch_analyzer.analyze_iterator(TEXTS, "en")
    assert [texts for texts, _ in asked] == [TEXTS[:3], TEXTS[3:]]
    for text, found in zip(TEXTS, results, strict=True):
        assert shown(text, found) == shown(text, analyzer.analyze(text, "en"))


def test_batch_analyzer_works_text_by_text_without_the_engine(
    presidio, build_analyzer, recording, asked
):
    presidio.BatchAnalyzerEngine(build_analyzer(recording)).analyze_iterator(TEXTS, "en")
    assert [texts for texts, _ in asked] == [[text] for text in TEXTS]


def test_batch_is_asked_for_requested_entities_alone(batch_analyzer, asked):
    batch_analyzer.analyze_iterator(TEXTS[:2], "en", entities=["PERSON"])
    assert asked == [(TEXTS[:2], ["person"])]


def test_batch_analyzer_reads_a_generator_batch_by_batch(batch_analyzer, asked):
    results = batch_analyzer.analyze_iterator((text for text in TEXTS), "en", batch_size=2)
    assert [len(texts) for texts, _ in asked] == [3, 1]
    assert len(results) == 4


def test_repeated_texts_are_read_once_per_batch(batch_analyzer, asked):
    results = batch_analyzer.analyze_iterator([TEXTS[0]] * 3, "en")
    assert [texts for texts, _ in asked] == [[TEXTS[0]]]
    assert [shown(TEXTS[0], found) for found in results] == [[("Ann Lee", "PERSON")]] * 3


def test_two_recognizers_share_a_batch_without_mixing(presidio, ours, build_analyzer, engine):
    people, places = (
        ours.GLiNERDistillRecognizer([entity], entity, num_threads=1)
        for entity in ("PERSON", "LOCATION")
    )
    analyzer = build_analyzer(people, places)
    analyzer.nlp_engine = ours.BatchingNlpEngine(engine)
    (found,) = presidio.BatchAnalyzerEngine(analyzer).analyze_iterator([TEXT], "en")
    origins = {result.entity_type: result.recognition_metadata for result in found}
    assert origins["PERSON"]["recognizer_name"] == "PERSON"
    assert origins["LOCATION"]["recognizer_name"] == "LOCATION"


def test_columns_are_read_in_batches(batch_analyzer, asked):
    columns = {"customer": TEXTS[:2], "note": "Bo Carter left.", "id": 7, "nested": {"by": TEXTS}}
    answers = list(batch_analyzer.analyze_dict(columns, "en", keys_to_skip=["id"]))
    assert [answer.key for answer in answers] == list(columns)
    assert [shown(TEXTS[0], answers[0].recognizer_results[0])] == [[("Ann Lee", "PERSON")]]
    assert shown(TEXTS[3], answers[1].recognizer_results) == [("Bo Carter", "PERSON")]
    (nested,) = answers[3].recognizer_results
    assert shown(TEXTS[3], nested.recognizer_results[3]) == [("Bo Carter", "PERSON")]
    assert [len(texts) for texts, _ in asked] == [2, 1, 3, 1]


def test_empty_cells_have_no_entities(batch_analyzer):
    cells = [None, math.nan, "", 5, 2.5, True, False, "Ann Lee called."]
    results = batch_analyzer.analyze_iterator(cells, "en")
    assert results[:-1] == [[]] * 7
    assert shown(cells[-1], results[-1]) == [("Ann Lee", "PERSON")]


def test_cells_of_a_data_frame_are_read(needs, batch_analyzer):
    frame = needs("pandas").DataFrame({"note": ["Ann Lee called.", None, math.nan]})
    (answer,) = batch_analyzer.analyze_dict(frame.to_dict(orient="list"), "en")
    assert [len(found) for found in answer.recognizer_results] == [1, 0, 0]


def test_single_texts_pass_through_the_batching_engine(ours, build_analyzer, recording, asked):
    analyzer = build_analyzer(recording)
    analyzer.nlp_engine = ours.BatchingNlpEngine(analyzer.nlp_engine)
    assert shown(TEXT, analyzer.analyze(TEXT, "en", entities=["PERSON"])) == [
        ("Maria Lopez", "PERSON")
    ]
    assert asked == [([TEXT], ["person"])]


def test_batching_engine_stands_for_its_engine(ours, engine, presidio, recognizer):
    batching = ours.BatchingNlpEngine(engine)
    registry = presidio.RecognizerRegistry(recognizers=[recognizer])
    analyzer = presidio.AnalyzerEngine(nlp_engine=batching, registry=registry)
    assert shown(TEXT, analyzer.analyze(TEXT, "en"))
    assert batching.get_supported_languages() == ["en"]
    assert batching.get_supported_entities() == engine.get_supported_entities()
    assert batching.get_nlp("en") is engine.get_nlp("en")
    assert batching.is_stopword("the", "en")
    assert not batching.is_punct("the", "en")


def test_batching_engine_loads_its_engine(ours, presidio, pipeline):
    models = [{"lang_code": "en", "model_name": str(pipeline)}]
    batching = ours.BatchingNlpEngine(presidio.nlp_engine.SpacyNlpEngine(models=models))
    assert not batching.is_loaded()
    batching.load()
    assert batching.is_loaded()


def test_traces_of_a_batch_can_be_written(presidio, ours, build_analyzer, recognizer, engine):
    class ListTracer(presidio.app_tracer.AppTracer):
        def __init__(self):
            self.traces = []

        def trace(self, request_id, trace_data):
            self.traces.append(trace_data)

    tracer = ListTracer()
    analyzer = build_analyzer(recognizer, app_tracer=tracer, log_decision_process=True)
    analyzer.nlp_engine = ours.BatchingNlpEngine(engine)
    presidio.BatchAnalyzerEngine(analyzer).analyze_iterator(TEXTS[:1], "en")
    assert any("Ann" in trace for trace in tracer.traces)
    assert any("PERSON" in trace for trace in tracer.traces)


# --- anonymizer ---------------------------------------------------------------------------------


def test_anonymizer_replaces_masks_and_hashes(needs, analyzer):
    anonymizer = needs("presidio_anonymizer").AnonymizerEngine()
    operator = needs("presidio_anonymizer.entities").OperatorConfig
    mask = {"masking_char": "*", "chars_to_mask": 5, "from_end": False}
    operators = {
        "PERSON": operator("replace", {"new_value": "<NAME>"}),
        "EMAIL_ADDRESS": operator("mask", mask),
        "LOCATION": operator("hash", {"salt": b"0123456789abcdef"}),
    }
    done = anonymizer.anonymize(TEXT, analyzer.analyze(TEXT, "en"), operators)
    assert re.fullmatch(
        r"My name is <NAME>, write to \*{5}@example\.com or visit me in [0-9a-f]{64}\.", done.text
    )


def test_encrypted_text_can_be_decrypted(needs, analyzer):
    package = needs("presidio_anonymizer")
    operator = needs("presidio_anonymizer.entities").OperatorConfig
    key = {"key": "WmZq4t7w!z%C&F)J"}
    hidden = package.AnonymizerEngine().anonymize(
        TEXT, analyzer.analyze(TEXT, "en"), {"DEFAULT": operator("encrypt", key)}
    )
    assert "Maria" not in hidden.text
    shown_again = package.DeanonymizeEngine().deanonymize(
        hidden.text, hidden.items, {"DEFAULT": operator("decrypt", key)}
    )
    assert shown_again.text == TEXT


def test_columns_can_be_anonymized(needs, batch_analyzer):
    anonymizer = needs("presidio_anonymizer").BatchAnonymizerEngine()
    answers = batch_analyzer.analyze_dict({"note": TEXTS[:2]}, "en")
    assert anonymizer.anonymize_dict(answers) == {
        "note": ["<PERSON> called.", "Write to <EMAIL_ADDRESS>."]
    }


# --- documentation ------------------------------------------------------------------------------


@pytest.mark.skipif(not PAGE.is_file(), reason="the docs are in the repository alone")
def test_programs_of_the_page_print_what_it_says(needs, presidio, tmp_path, monkeypatch, capsys):
    needs("presidio_anonymizer")
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"```(python|yaml)\n(.*?)```", text, flags=re.DOTALL)
    assert [language for language, _ in blocks] == ["python", "yaml", "python"]
    (_, program), (_, registry), (_, from_file) = blocks
    monkeypatch.chdir(tmp_path)
    Path("recognizers.yaml").write_text(registry)
    exec(compile(program + from_file, PAGE.name, "exec"), {})
    expected = re.findall(r"^# (.*)$", program + from_file, flags=re.MULTILINE)
    assert len(expected) > 2
    assert capsys.readouterr().out.splitlines() == expected
