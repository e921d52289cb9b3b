"""What is wrong with a file of orders is said with its line; what is good goes on."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from marketbill.cli.failure import CommandRefused
from marketbill.cli.orders.file import USUAL_DATE, Columns, OrderItem, check_rejects, read_orders, write_rejects

COLUMNS = Columns("order_id", "order_item_id", "product_id", "seller_id", "price", "freight", "currency")
HEADER = "order_id,order_item_id,product_id,seller_id,shipping_limit_at,price,freight,currency\n"


def written(folder: Path, *rows: str, header: str = HEADER) -> Path:
    file = folder / "orders.csv"
    file.write_text(header + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return file


def reasons(path: Path) -> dict[int, str]:
    return {reject.row.line: reject.reason for reject in read_orders(path, COLUMNS).rejects}


def test_rows_of_an_order_stay_together_wherever_they_are(tmp_path: Path) -> None:
    read = read_orders(
        written(
            tmp_path,
            "o1,1,lamp,s1,2017-09-19T09:45:00,58.90,13.29,BRL",
            "o2,1,vase,s2,2017-09-19T09:45:00,1005,,JPY",
            "o1,2,rug,s2,2017-09-19T09:45:00,10.00,0.00,BRL",
        ),
        COLUMNS,
    )
    assert [order.id for order in read.orders] == ["o1", "o2"]
    first, second = read.orders
    assert first.items == (OrderItem("1", "lamp", "s1", 5890, 1329), OrderItem("2", "rug", "s2", 1000, 0))
    assert first.total == 8219
    assert [row.line for row in first.rows] == [2, 4]
    assert (second.currency, second.total) == ("JPY", 1005)
    assert read.rejects == ()
    assert read.rows == 3


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("o,1,p,s,t,abc,1.00,EUR", "price: 'abc' is not an amount"),
        ("o,1,p,s,t,-5.00,1.00,EUR", "price is negative"),
        ("o,1,p,s,t,0.00,1.00,EUR", "price is zero"),
        ("o,1,p,s,t,1.005,1.00,EUR", "price: '1.005' has too many decimals: EUR has 2"),
        ("o,1,p,s,t,1.00,1.005,EUR", "freight: '1.005' has too many decimals"),
        ("o,1,p,s,t,10.5,0,JPY", "price: '10.5' has too many decimals: JPY has 0"),
        ("o,1,p,s,t,1.00,-1,EUR", "freight is negative"),
        ("o,1,p,s,t,1e3,0,EUR", "price: '1e3' is not an amount"),
        ("o,1,p,s,t,99999999999999999,0,EUR", "price: "),
        ("o,1,p,s,t,1.00,1.00,XXX", "'XXX' is not a currency"),
        ("o,1,p,s,t,1.00,1.00,eur", "'eur' is not a currency"),
        ("o,1,p,s,t,1.00,1.00,", "currency is empty"),
        ("o,1,p,,t,1.00,1.00,EUR", "seller_id is empty"),
        ("o,,p,s,t,1.00,1.00,EUR", "order_item_id is empty"),
        ("o,1,p,s,t,,1.00,EUR", "price is empty"),
        (",1,p,s,t,1.00,1.00,EUR", "order_id is empty"),
        ("o,1,p,s,t,1.00", "the row has 6 cells, the header 8"),
        ("o,1,p,s,t,1.00,1.00,EUR,more", "the row has 9 cells, the header 8"),
        (f"o,1,p,{'s' * 101},t,1.00,1.00,EUR", "seller_id has more than 100 characters"),
        (f"{'o' * 101},1,p,s,t,1.00,1.00,EUR", "order_id has more than 100 characters"),
    ],
)
def test_a_bad_row_is_rejected_with_its_line_and_the_rest_goes_on(tmp_path: Path, row: str, reason: str) -> None:
    path = written(tmp_path, "good,1,p,s,t,1.00,1.00,EUR", row, "fine,1,p,s,t,2.00,0,EUR")
    read = read_orders(path, COLUMNS)
    assert [order.id for order in read.orders] == ["good", "fine"]
    [reject] = read.rejects
    assert reject.row.line == 3
    assert reject.reason.startswith(reason)


def test_an_order_with_a_bad_row_is_rejected_as_a_whole(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "o1,1,p,s,t,1.00,1.00,EUR",
        "o2,1,p,s,t,1.00,1.00,EUR",
        "o1,2,p,s,t,zero,1.00,EUR",
        "o1,3,p,s,t,1.00,1.00,EUR",
    )
    assert reasons(path) == {
        2: "order o1 is rejected as a whole, because of line 4",
        4: "price: 'zero' is not an amount: write digits with a point, such as '12.10'.",
        5: "order o1 is rejected as a whole, because of line 4",
    }


def test_an_item_twice_and_two_currencies_in_an_order(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "o1,1,p,s,t,1.00,1.00,EUR",
        "o1,1,q,s,t,1.00,1.00,EUR",
        "o2,1,p,s,t,1.00,1.00,EUR",
        "o2,2,p,s,t,1.00,1.00,USD",
    )
    assert reasons(path)[3] == "order_item_id '1' is on line 2 too"
    assert reasons(path)[5] == "the row is in USD, its order in EUR: one order has one currency"


def test_an_order_of_too_many_rows(tmp_path: Path) -> None:
    path = written(tmp_path, *(f"o1,{number},p,s,t,1.00,0,EUR" for number in range(101)))
    assert reasons(path)[2] == "order o1 has 101 rows: at most 100"
    assert len(reasons(path)) == 101


def test_lines_are_those_of_the_file_also_after_a_cell_of_two_lines(tmp_path: Path) -> None:
    path = written(tmp_path, 'o1,1,"two\nlines",s,t,1.00,1.00,EUR', "", "o2,1,p,s,t,x,1.00,EUR")
    assert list(reasons(path)) == [5]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (HEADER.encode(), "no rows"),
        (b"a,b\n1,2\n", "has no column 'order_id'"),
        (HEADER.encode() + b'o,1,"p,s,t,1.00,1.00,EUR\n', "broken CSV"),
        (HEADER.encode() + b'o,1,"p"x,s,t,1.00,1.00,EUR\n', "line 2: broken CSV"),
        (HEADER.encode() + b"o,1,caf\xe9,s,t,1.00,1.00,EUR\n", "not utf-8"),
        (HEADER.replace("freight", "price").encode() + b"o,1,p,s,t,1,1,EUR\n", "'freight'"),
        (b"\x00\x01\x02", "order_id"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, content: bytes, part: str) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes(content)
    with pytest.raises(CommandRefused, match=part):
        read_orders(file, COLUMNS)


def test_encodings(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + b"o,1,p,s,t,1.00,1.00,EUR\n")
    assert len(read_orders(file, COLUMNS).orders) == 1
    file.write_bytes(HEADER.encode() + b"o,1,caf\xe9,s,t,1.00,1.00,EUR\n")
    assert read_orders(file, COLUMNS, encoding="latin-1").orders[0].items[0].product == "café"
    with pytest.raises(CommandRefused, match="not an encoding"):
        read_orders(file, COLUMNS, encoding="klingon")


def test_the_rejects_file_can_be_corrected_and_imported(tmp_path: Path) -> None:
    path = written(tmp_path, "o1,1,p,s,t,1.00,1.00,EUR", "o2,1,p,s,t,x,1.00,EUR", "short,1")
    read = read_orders(path, COLUMNS)
    place = tmp_path / "rejects.csv"
    write_rejects(place, read.header, read.rejects)
    with place.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["line"] for row in rows] == ["3", "4"]
    assert [row["order_id"] for row in rows] == ["o2", "short"]
    place.write_text(place.read_text().replace(",x,", ",9.00,"))
    assert [order.id for order in read_orders(place, COLUMNS).orders] == ["o2"]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_another_delimiter_is_named(tmp_path: Path, mark: str) -> None:
    file = written(tmp_path, "o1;1;p", header=HEADER.replace(",", mark))
    with pytest.raises(CommandRefused, match="separated by") as refused:
        read_orders(file, COLUMNS)
    assert repr(mark) in str(refused.value)


def test_a_place_for_rejects_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    source = written(tmp_path, "o1,1,p")
    fresh, kept = tmp_path / "fresh.csv", tmp_path / "kept.csv"
    kept.write_text("of an earlier run")
    check_rejects(fresh, source)
    check_rejects(kept, source)
    assert not fresh.exists()
    assert kept.read_text() == "of an earlier run"
    for place in (tmp_path / "missing" / "rejects.csv", tmp_path):
        with pytest.raises(CommandRefused, match="--rejects"):
            check_rejects(place, source)
    with pytest.raises(CommandRefused, match="is the file to import"):
        check_rejects(source, source)


DATED = replace(COLUMNS, date=USUAL_DATE)


def test_an_order_has_the_earliest_date_of_its_rows(tmp_path: Path) -> None:
    rows = ("o,1,lamp,s,2017-09-19T09:45:00,1.00,0,EUR", "o,2,rug,s,2017-09-18T23:30:00-05:00,1.00,0,EUR")
    [order] = read_orders(written(tmp_path, *rows), DATED).orders
    assert order.ordered_at == datetime(2017, 9, 19, 4, 30, tzinfo=UTC)


def test_a_wrong_date_rejects_its_order(tmp_path: Path) -> None:
    read = read_orders(written(tmp_path, "o,1,lamp,s,19.9.2017,1.00,0,EUR"), DATED)
    assert read.orders == ()
    [reject] = read.rejects
    assert reject.reason.startswith("shipping_limit_at '19.9.2017' is not a date: write 2026-05-31")


def test_the_usual_column_of_dates_may_be_missing_and_another_may_not(tmp_path: Path) -> None:
    file = written(tmp_path, "o,1,p,s,1.00,0,EUR", header=HEADER.replace("shipping_limit_at,", ""))
    assert read_orders(file, DATED).orders[0].ordered_at is None
    with pytest.raises(CommandRefused, match="has no column 'bought_on'"):
        read_orders(file, replace(COLUMNS, date="bought_on"))
