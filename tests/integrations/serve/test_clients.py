"""Clients of other servers, unchanged, with ours: gliner.serve's and gliner-haystack's."""

import asyncio

import pytest

TEXT = "Marie Curie was born in Warsaw."
LABELS = ["person", "city"]

pytestmark = pytest.mark.slow


def test_gliner_serve_client_gets_the_students_entities(needs, url, student):
    client = needs("gliner.serve.client").GLiNERClient(base_url=url)
    expected = student.predict_entities(TEXT, LABELS)
    assert client.predict(TEXT, LABELS) == {"entities": expected}
    both = client.predict([TEXT, "Nobody."], [LABELS, {"city": "town"}], threshold=0.4)
    assert [len(answer["entities"]) for answer in both] == [2, 0]
    nested = client.predict(TEXT, LABELS, flat_ner=False, multi_label=True, relations=[])
    assert nested["entities"] == student.predict_entities(TEXT, LABELS, False, multi_label=True)
    assert asyncio.run(client.predict_async(TEXT, LABELS)) == {"entities": expected}
    assert client.adapter_cache_status()["enabled"] is False


def test_gliner_serve_client_reports_what_the_server_refuses(needs, url):
    module = needs("gliner.serve.client")
    with pytest.raises(module.GLiNERClientError, match="422"):
        module.GLiNERClient(base_url=url).predict(TEXT, LABELS, relations=["works for"])


def test_haystack_text_extractor_gets_the_students_entities(needs, url, student):
    module = needs("haystack_integrations.components.extractors.gliner")
    extractor = module.GLiNERTextExtractor(api_base_url=url)
    found = extractor.run(text=TEXT, labels=LABELS)["entities"]
    extractor.close()
    [person, city] = student.predict_entities(TEXT, LABELS)
    assert found == {
        entity["label"]: [
            {
                "text": entity["text"],
                "confidence": entity["score"],
                "start": entity["start"],
                "end": entity["end"],
            }
        ]
        for entity in (person, city)
    }


def test_haystack_document_extractor_works_side_by_side(needs, url):
    module = needs("haystack_integrations.components.extractors.gliner")
    document = needs("haystack").Document
    extractor = module.GLiNERDocumentExtractor(api_base_url=url, model="bundled")
    documents = [document(content=TEXT), document(content="Nothing here.")]

    async def extract():
        answer = await extractor.run_async(documents=documents, labels=LABELS)
        await extractor.close_async()
        return [found.meta["entities"] for found in answer["documents"]]

    first, second = asyncio.run(extract())
    assert first["city"][0]["text"] == "Warsaw"
    assert second == {"person": [], "city": []}
