"""The two classes of LangChain that use GLiNERs, with a student."""

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The class .* is in beta"),
    pytest.mark.filterwarnings("ignore:`langchain-.*` is being sunset:DeprecationWarning"),
]

TEXTS = ["Marie Curie was born in Warsaw.", "Ada Lovelace lived in London."]
LINKS = "langchain_community.graph_vectorstores.extractors"


@pytest.fixture(scope="module")
def links(client):
    return client(LINKS, modules=(f"{LINKS}.gliner_link_extractor",))


@pytest.fixture
def documents(needs):
    return [needs("langchain_core.documents").Document(page_content=text) for text in TEXTS]


@pytest.fixture(scope="module")
def graphs(client, glirel):
    """The module of the transformer."""
    client("gliner_spacy.pipeline", modules=("gliner_spacy",))
    name = "langchain_experimental.graph_transformers"
    return client(name, modules=(f"{name}.gliner",))


@pytest.fixture(scope="module")
def transformer(graphs):
    return graphs.GlinerGraphTransformer(["person", "city"], ["born in"])


def tags_of(links):
    return {(link.kind, link.tag) for link in links}


class TestGLiNERLinkExtractor:
    def test_extract_one_returns_the_links_of_a_document(self, links, documents):
        extractor = links.GLiNERLinkExtractor(["person", "city"])
        assert tags_of(extractor.extract_one(documents[0])) == {
            ("entity:person", "Marie Curie"),
            ("entity:city", "Warsaw"),
        }

    def test_extract_one_takes_a_string(self, links):
        extractor = links.GLiNERLinkExtractor(["city"])
        assert tags_of(extractor.extract_one(TEXTS[1])) == {("entity:city", "London")}

    def test_extract_many_returns_the_links_of_each_document(self, links, documents):
        extractor = links.GLiNERLinkExtractor(["city"], kind="place")
        found = [tags_of(of_document) for of_document in extractor.extract_many(documents)]
        assert found == [{("place:city", "Warsaw")}, {("place:city", "London")}]

    def test_extract_kwargs_reach_the_student(self, links, documents):
        extractor = links.GLiNERLinkExtractor(["city"], extract_kwargs={"threshold": 0.9999})
        assert [len(found) for found in extractor.extract_many(documents)] == [0, 0]

    def test_transformer_adds_links_to_the_metadata(self, links, documents):
        extractor = links.GLiNERLinkExtractor(["city"])
        transformed = links.LinkExtractorTransformer([extractor]).transform_documents(documents)
        assert [tags_of(document.metadata["links"]) for document in transformed] == [
            {("entity:city", "Warsaw")},
            {("entity:city", "London")},
        ]


class TestGlinerGraphTransformer:
    def test_graph_has_the_entities_as_nodes(self, transformer, documents):
        graph = transformer.convert_to_graph_documents(documents[:1])[0]
        assert {("Marie Curie", "person"), ("Warsaw", "city")} <= {
            (node.id, node.type) for node in graph.nodes
        }

    def test_graph_has_relations_between_the_entities(self, transformer, documents):
        graph = transformer.process_document(documents[0])
        assert ("Marie Curie", "BORN_IN", "Warsaw") in {
            (edge.source.id, edge.type, edge.target.id) for edge in graph.relationships
        }

    def test_confidence_threshold_reaches_the_student(self, graphs, documents):
        strict = graphs.GlinerGraphTransformer(
            ["person", "city"], ["born in"], entity_confidence_threshold=0.9999
        )
        assert strict.process_document(documents[0]).nodes == []
