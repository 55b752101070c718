"""model.yaml: what is inferred, what can be overridden, and how each mistake is told."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mlhealth.config.strict_yaml import parse, validated
from mlhealth.errors import ConfigError
from mlhealth.schema.file import CompletedSchema, SchemaFile, complete
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task
from tests.loans import loan_schema, loan_table

TABLE = pa.table(
    {
        "p": [0, 1, 1, 0],
        "s": [0.1, 0.9, 0.8, 0.2],
        "l": [False, True, True, False],
        "price": [1.5, 2.5, None, 3.0],
        "kind": ["a", "b", None, "a"],
        "flag": [True, False, True, None],
        "zero_one": [0, 1, 0, 1],
        "code": [10, 20, 30, 10],
        "day": pa.array([0, 1, 2, 3], type=pa.date32()),
    }
)


def schema_file(text: str) -> SchemaFile:
    """Return a schema file from its text."""
    return validated(parse(text, "model.yaml"), SchemaFile)


def completed(columns: str = "prediction: p, score: s, label: l", rest: str = "") -> CompletedSchema:
    """Return the schema completed from the table."""
    return complete(schema_file(f"model: m\ncolumns: {{{columns}}}\n{rest}"), TABLE)


def test_types_are_inferred_from_the_reference() -> None:
    """Numbers, texts, booleans and 0/1 integers are told apart; a date is left out, and that is told."""
    found = completed()
    assert found.schema.features == (
        Feature("price", FeatureType.NUMERIC, Storage.FLOAT),
        Feature("kind", FeatureType.CATEGORICAL, Storage.STRING),
        Feature("flag", FeatureType.BOOLEAN, Storage.BOOLEAN),
        Feature("zero_one", FeatureType.BOOLEAN, Storage.INTEGER),
        Feature("code", FeatureType.NUMERIC, Storage.INTEGER),
    )
    assert found.warnings == ("column 'day' is of type date32[day] and is left out",)


def test_a_wrong_guess_can_be_overridden_and_a_column_ignored() -> None:
    """`features` changes the type of the columns it names and leaves out those it ignores."""
    schema = completed(rest="features: {code: categorical, kind: ignore}").schema
    assert ("code", FeatureType.CATEGORICAL) in [(f.name, f.type) for f in schema.features]
    assert "kind" not in schema.feature_names


def test_a_numeric_segment_column_becomes_categorical() -> None:
    """Segments need categories, so a segment column of numbers is taken for codes."""
    schema = completed("prediction: p, score: s, label: l, segments: [code]").schema
    assert ("code", FeatureType.CATEGORICAL) in [(f.name, f.type) for f in schema.features]


def test_booleans_and_numbers_are_one_set_of_classes() -> None:
    """A prediction of 0 and 1 and a label of false and true are the same two classes, positive last."""
    assert completed().schema.classes == ("0", "1")
    assert completed("prediction: p, score: s, label: l, positive_class: 0").schema.classes == ("1", "0")


@pytest.mark.parametrize(
    ("columns", "task"),
    [
        ("prediction: p, label: l", Task.BINARY),
        ("prediction: kind", Task.BINARY),
        ("prediction: code", Task.MULTICLASS),
        ("prediction: p, score: s", Task.BINARY),
    ],
)
def test_the_task_is_inferred(columns: str, task: Task) -> None:
    """Two values are a binary task, a few more a multiclass one."""
    assert completed(columns).schema.task is task


def test_many_distinct_numbers_are_a_regression() -> None:
    """A prediction with many distinct values is a number, not a class."""
    table = pa.table({"p": [i / 7 for i in range(100)], "x": list(range(100))})
    found: ModelSchema = complete(schema_file("model: m\ncolumns: {prediction: p}"), table).schema
    assert (found.task, found.classes, found.scores) == (Task.REGRESSION, (), ())


def test_multiclass_scores_follow_the_order_of_the_classes() -> None:
    """Score columns are ordered as the classes, whatever the order in the file."""
    table = pa.table(
        {"p": ["b", "a", "c"], "sa": [0.1] * 3, "sb": [0.2] * 3, "sc": [0.7] * 3, "x": [1, 2, 3]}
    )
    found = complete(
        schema_file("model: m\ncolumns: {prediction: p, score: {c: sc, a: sa, b: sb}}"), table
    ).schema
    assert (found.classes, found.scores) == (("a", "b", "c"), ("sa", "sb", "sc"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model: m\ncolumns:\n  lable: x\n  prediction: p",
            "model.yaml:3: columns.lable: unknown key; did you mean label?",
        ),
        ("model: m\ncolums: {prediction: p}", "did you mean columns?"),
        ("model: m\nmodel: n\ncolumns: {prediction: p}", "model.yaml:2: model: the key stands here twice"),
        ("model: m\ntask: binry\ncolumns: {prediction: p}", "model.yaml:2: task: "),
        ("model: m\ncolumns: {prediction: p}\nfeatures:\n  kind: numric", "'numric' is not a type"),
        ("model: m\ncolumns: {label: l}", "columns.prediction: is missing"),
        ("model: m\ncolumns: {prediction: q}", "key 'columns.prediction' names column 'q'"),
        (
            "model: m\ncolumns: {prediction: p, label: lx}",
            "names column 'lx', which the reference data has not",
        ),
        ("model: m\ncolumns: {prediction: p}\nfeatures: {prise: numeric}", "did you mean 'price'?"),
        (
            "model: m\ncolumns: {prediction: p}\nfeatures: {p: numeric}",
            "names the column of 'columns.prediction'",
        ),
        ("model: m\ncolumns: {prediction: p, positive_class: 7}", "'columns.positive_class' is '7'"),
        ("model: m\ntask: binary\ncolumns: {prediction: code}", "a binary task has 2 classes"),
        ("model: m\ntask: regression\ncolumns: {prediction: kind}", "holds no numbers"),
        ("model: m\ntask: regression\ncolumns: {prediction: p, score: s}", "'columns.score' has no meaning"),
        (
            "model: m\ntask: multiclass\ncolumns: {prediction: code, score: s}",
            "must give a column for each class",
        ),
        (
            "model: m\ncolumns: {prediction: code, score: {10: s, 20: p, 40: l}}",
            "has no column for class '30'",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(text: str, message: str) -> None:
    """Every mistake in the file, or between file and reference, is one line with its key."""
    with pytest.raises(ConfigError) as caught:
        complete(schema_file(text), TABLE)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_that_is_mostly_numbers_is_doubted() -> None:
    """A numeric column spoilt by a few texts is not silently taken for categories."""
    table = loan_table(600)
    spoilt = ["n/k" if i % 50 == 0 else str(v) for i, v in enumerate(table.column("debt").to_pylist())]
    found = complete(loan_schema(), table.set_column(1, "debt", pa.array(spoilt)))
    assert any("write 'debt: numeric'" in warning for warning in found.warnings)


def test_an_identifier_is_doubted() -> None:
    """A text column that differs in every row is pointed out."""
    table = loan_table(600).append_column("name", pa.array([f"person {i}" for i in range(600)]))
    assert any("write 'name: ignore'" in warning for warning in complete(loan_schema(), table).warnings)
