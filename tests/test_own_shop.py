# ruff: noqa: E501 - headers as the exports write them
"""Exports of shop systems, invented: each is read, every fact is counted, what is unclear is asked."""

import gzip
import io
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from ecomlib.own.cells import Reader, as_numbers, as_times, decimal_sign
from ecomlib.own.facts import exported_twice, far_dates
from ecomlib.own.opening import check_export, open_shop
from ecomlib.own.shop_command import main
from ecomlib.runtime import ROOT
from ecomlib.shop.errors import MissingColumn, ShopError

FLAT = "Order ID,Customer ID,Product ID,Date,Quantity,Unit Price\n"
ROWS = [
    f"{100 + n},{n % 7},P{n % 5},2024-0{1 + n % 6}-{1 + n % 28:02d} 10:00,{1 + n % 3},2.50\n"
    for n in range(60)
]
TEXT = FLAT + "".join(ROWS)


@pytest.fixture
def written(tmp_path):
    def write(content, name="export.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def steps(shop):
    return shop.report.steps.set_index("step")[["lines", "left_out"]].apply(tuple, axis=1).to_dict()


def xlsx(rows, name="Sheet1"):
    """The smallest Excel file: one sheet, texts and numbers in its cells."""
    lines = "".join(
        "<row>"
        + "".join(
            f"<c><v>{v}</v></c>"
            if isinstance(v, (int, float))
            else f'<c t="inlineStr"><is><t>{v}</t></is></c>'
            for v in row
        )
        + "</row>"
        for row in rows
    )
    main_ns = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    package = "http://schemas.openxmlformats.org/package/2006/"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml."
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}content-types"><Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" '
        f'ContentType="{kind}sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" '
        f'ContentType="{kind}worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}relationships"><Relationship Id="r1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main_ns}" xmlns:r="{office}"><sheets><sheet name="{name}" '
        'sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}relationships"><Relationship Id="r1" '
        f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main_ns}"><sheetData>{lines}</sheetData></worksheet>',
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for part, text in parts.items():
            archive.writestr(part, text)
    return packed.getvalue()


# ----------------------------------------------------------------------------------------------- formats

SHOPIFY = (
    "Name,Email,Financial Status,Paid at,Currency,Subtotal,Shipping,Taxes,Total,Discount Amount,Created at,"
    "Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Cancelled at,Refunded Amount,Vendor,Id\n"
    "#1002,bo@example.org,paid,,USD,18.00,5,0,23,2.00,2023-03-12 09:00:00 -0500,1,Cup,10.00,,,9.00,Clay,2\n"
    "#1002,,,,,,,,,,,2,Tea - 100 g,5.00,T1,,,Leaf,\n"
    "#1001,ann@example.org,paid,,USD,5.00,5,0,10,0,2023-03-13 21:30:00 -0400,1,Tea - 100 g,5.00,T1,,0,Leaf,1\n"
    "#1000,,paid,,USD,5.00,5,0,10,0,2023-03-11 10:00:00 -0500,1,Tea - 100 g,5.00,T1,,0,Leaf,0\n"
    "#999,ann@example.org,voided,,USD,5.00,5,0,10,0,2023-03-10 10:00:00 -0500,1,Cup,5.00,,2023-03-10,0,Clay,9\n"
)


def test_shopify(written):
    shop = open_shop(written(SHOPIFY))
    orders = shop.orders.set_index(["order_id", "product_id"])
    assert len(orders) == 4
    # The order's discount of 2 is shared by its lines: 10 and 10 become 9 and 9.
    assert orders.loc[("#1002", "Cup"), ["revenue", "discount"]].tolist() == pytest.approx([9.0, 1.0])
    assert orders.loc[("#1002", "T1"), ["quantity", "revenue"]].tolist() == pytest.approx([2, 9.0])
    assert orders.loc[("#1002", "T1"), "timestamp"] == pd.Timestamp(
        "2023-03-12 09:00"
    )  # the shop's own clock
    assert orders["customer_id"].nunique() == 3
    assert not orders["customer_id"].str.contains("@").any()
    assert orders.loc[("#1000", "T1"), "guest"]
    assert steps(shop)["cancelled order"] == (1, 1)
    assert shop.products.set_index("product_id").loc["T1", "category"] == "Leaf"
    assert shop.currency == "$"
    net = open_shop(written(SHOPIFY), returns="net").orders.set_index(["order_id", "product_id"])
    assert net.loc["#1002", "revenue"].sum() == pytest.approx(9.0)
    local = open_shop(written(SHOPIFY), timezone="Europe/Paris").orders
    assert pd.Timestamp("2023-03-14 02:30") in local["timestamp"].tolist()


WOO = (
    "order_id,order_number,date,status,discount_total,order_total,order_currency,customer_id,billing_email,item_id,"
    "item_product_id,item_name,item_sku,item_quantity,item_subtotal,item_total,item_refunded,item_refunded_qty\n"
    "11,11,2023-05-02 10:15:00,completed,1,9,EUR,7,a@b.org,1,501,Tea,05,2,10.00,9.00,4.50,-1\n"
    "11,11,2023-05-02 10:15:00,completed,1,9,EUR,7,a@b.org,2,502,Cup,06,1,4.00,4.00,0,0\n"
    "12,12,2023-05-03 10:15:00,processing,0,5,EUR,0,c@d.org,3,501,Tea,05,1,5.00,5.00,0,0\n"
    "13,13,2023-05-04 10:15:00,cancelled,0,5,EUR,7,a@b.org,4,501,Tea,05,1,5.00,5.00,0,0\n"
)


def test_woocommerce(written):
    shop = open_shop(written(WOO))
    assert shop.orders["revenue"].tolist() == [9.0, 4.0, 5.0]
    assert shop.orders["discount"].tolist() == [1.0, 0.0, 0.0]
    assert shop.orders["guest"].tolist() == [False, False, True]
    assert (shop.currency, steps(shop)["cancelled order"]) == ("€", (1, 1))
    assert open_shop(written(WOO), returns="net").orders["revenue"].tolist() == [4.5, 4.0, 5.0]


def test_woocommerce_with_all_items_of_an_order_in_one_cell(written):
    """Two plugins write so: all items in `line_items`, or one in each of line_item_1, line_item_2, ..."""
    orders = (
        "order_id,order_date,status,order_currency,customer_id,{}\n"
        "11,2023-05-02 10:15:00,completed,EUR,7,{}\n12,2023-05-03 10:15:00,processing,EUR,0,{}\n"
        "13,2023-05-04 10:15:00,cancelled,EUR,7,{}\n14,2023-05-05 10:15:00,completed,EUR,8,{}\n"
    )
    tea = (
        "id:1|name:Tea, black; loose|product_id:501|quantity:2|subtotal:10.00|total:9.00|refunded:4.50|meta:"
    )
    cup = "id:2|name:Cup|product_id:502|quantity:1|subtotal:4.00|total:4.00|refunded:0|meta:size=L"
    one = "name:Tea|product_id:501|sku:|quantity:1|total:5.00|subtotal:5.00"
    together = orders.format("line_items", f'"{tea};{cup}"', one, f'"{one};{one}"', "")
    apart = orders.format("line_item_1,line_item_2", f'"{tea}",{cup}', f"{one},", f"{one},{one}", ",")
    for text in (together, apart.replace("subtotal", "sub_total")):
        shop = open_shop(written(text))
        assert shop.orders["revenue"].tolist() == [9.0, 4.0, 5.0]
        assert shop.orders["discount"].tolist() == [1.0, 0.0, 0.0]
        assert shop.orders["product_id"].tolist() == [501, 502, 501]
        assert shop.products["name"].tolist() == ["Tea, black; loose", "Cup"]
        assert (steps(shop)["cancelled order"], steps(shop)["without product"]) == ((2, 2), (1, 1))
        assert any("one row per item" in note for note in shop.report.notes)
    net = open_shop(written(together), returns="net").orders["revenue"]
    assert net.tolist() == [4.5, 4.0, 5.0]
    with pytest.raises(MissingColumn, match="no column is known to hold the product_id"):
        open_shop(written(orders.format("line_items", *['"[{""id"": 1}]"'] * 4)))


INVOICES = (
    "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country\n"
    "489434,85048,BALL,12,2009-12-01 07:45:00,6.95,13085.0,United Kingdom\n"
    "489434,85048,BALL,12,2009-12-01 07:45:00,6.95,13085.0,United Kingdom\n"
    "489434,079323P,LIGHTS,2,2009-12-01 07:45:00,5.00,13085.0,United Kingdom\n"
    "C489449,85048,BALL,-2,2009-12-03 10:33:00,6.95,13085.0,Australia\n"
    "489450,POST,POSTAGE,1,2009-12-03 10:33:00,18.00,13086.0,France\n"
    "489450,85048,BALL,1,2009-12-03 10:33:00,6.95,13086.0,France\n"
    "489451,85048,damaged,-5,2009-12-03 11:00:00,0,,France\n"
    "489452,85048,BALL,1,2009-12-03 11:00:00,0,13086.0,France\n"
    "489453,85048,BALL,1,2009-12-04 11:00:00,6.95,,France\n"
    "A489454,B,Adjust bad debt,1,2009-12-04 11:00:00,-10,,France\n"
)


def test_online_retail(written):
    shop = open_shop(written(INVOICES))
    found = steps(shop)
    assert found["order begins with C"] == (1, 1)
    assert found["quantity below 0"] == (2, 1)
    assert found["price 0"] == (2, 1)
    assert found["amount below 0"] == (1, 0)  # it is no goods, and gone already
    assert found["no goods"] == (2, 2)
    assert found["without customer"] == (3, 0)
    assert found["line that repeats another"] == (1, 0)
    assert shop.orders["quantity"].tolist() == [2, 24, 1, 1]
    assert shop.orders["customer_id"].tolist()[0] == "13085"
    assert shop.orders["product_id"].tolist() == ["079323P", "85048", "85048", "85048"]
    net = open_shop(written(INVOICES), returns="net", guests="drop").orders
    assert net["quantity"].tolist() == [2, 22, 1]
    assert net["customer_id"].tolist() == [13085, 13085, 13086]
    assert net["revenue"].sum() == pytest.approx(10 + 23 * 6.95)
    renamed = (
        INVOICES.replace("Invoice,", "InvoiceNo,")
        .replace("Price", "UnitPrice")
        .replace("Customer ID", "CustomerID")
    )
    assert open_shop(written(renamed)).report.format == "online_retail"


OLIST = {
    "olist_orders_dataset.csv": "order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at\n"
    "o1,c1,delivered,2017-10-02 10:56:33,\no2,c2,canceled,2017-10-03 10:56:33,\no3,c3,delivered,2017-10-04 09:00:00,\n",
    "olist_order_items_dataset.csv": "order_id,order_item_id,product_id,seller_id,shipping_limit_date,price,freight_value\n"
    "o1,1,p1,s,2017-10-06 11:07:15,29.99,8.72\no1,2,p1,s,2017-10-06 11:07:15,29.99,8.72\n"
    "o2,1,p1,s,2017-10-06 11:07:15,29.99,8.72\no3,1,p2,s,2017-10-06 11:07:15,10.00,8.72\n",
    "olist_customers_dataset.csv": "customer_id,customer_unique_id,customer_zip_code_prefix\n"
    "c1,u1,01409\nc2,u2,01409\nc3,u1,01409\n",
    "olist_products_dataset.csv": "product_id,product_category_name,product_name_lenght\np1,cool_stuff,40\np2,pet_shop,4\n",
}


def test_olist(written, tmp_path):
    for name, text in OLIST.items():
        written(text, name)
    shop = open_shop(tmp_path)
    assert shop.orders[["customer_id", "quantity", "revenue"]].values.tolist() == [
        ["u1", 2, 59.98],
        ["u1", 1, 10.0],
    ]
    assert dict(shop.products[["product_id", "category"]].values) == {"p1": "cool_stuff", "p2": "pet_shop"}
    (tmp_path / "olist_customers_dataset.csv").unlink()
    with pytest.raises(ShopError, match="new for each order"):
        open_shop(tmp_path)


TILLS = {
    "square": "Date,Time,Time Zone,Category,Item,Qty,Price Point Name,SKU,Gross Sales,Discounts,Net Sales,Tax,"
    "Transaction ID,Event Type,Customer ID\n"
    '2023-04-01,09:15:00,Eastern Time,Drinks,Latte,2,Regular,,"$1,009.00",-$9.00,"$1,000.00",$0.5,t1,Payment,K1\n'
    "2023-04-02,10:15:00,Eastern Time,Food,Bun,1,Regular,B-1,$2.00,$0.00,$2.00,$0.1,t2,Payment,\n"
    "2023-04-02,10:20:00,Eastern Time,Food,Bun,1,Regular,B-1,-$2.00,$0.00,-$2.00,$0.1,t3,Refund,\n",
    "loyverse": "Date,Receipt number,Receipt type,Category,SKU,Item,Variant,Quantity,Gross sales,Discounts,Net sales,"
    "Customer name,Status\n"
    "4/13/23 9:15 AM,1-1001,Sale,Drinks,1,Latte,,2,1009.00,9.00,1000.00,Ann Lee,Closed\n"
    "4/13/23 1:15 PM,1-1002,Sale,Food,B-1,Bun,,1,2.00,0.00,2.00,,Closed\n"
    "4/13/23 2:15 PM,1-1003,Refund,Food,B-1,Bun,,1,2.00,0.00,2.00,,Closed\n",
    "shopkeep": "Time,Register Name/Number,Operation Type,UPC,Line Item,Department,Category,Price,Quantity,Subtotal,"
    "Discounts,Net Total,Tax,Total Due,Transaction ID,Customer ID\n"
    "2023-04-01 09:15:00,1,Sale,,Latte,Bar,Drinks,504.5,2,1009.00,9.00,1000.00,0,0,t1,K1\n"
    "2023-04-02 09:15:00,1,Sale,B-1,Bun,Bar,Food,2,1,2.00,0,2.00,0,0,t2,\n"
    "2023-04-02 09:25:00,1,Return,B-1,Bun,Bar,Food,2,1,2.00,0,2.00,0,0,t3,\n",
}


@pytest.mark.parametrize("till", TILLS)
def test_tills(till, written):
    shop = open_shop(written(TILLS[till]))
    assert shop.report.format == till
    assert shop.orders["revenue"].tolist() == [1000.0, 2.0]
    assert shop.orders["discount"].tolist() == [9.0, 0.0]
    assert shop.orders["guest"].tolist() == [False, True]
    assert steps(shop)["quantity below 0"] == (1, 1)
    assert shop.products["category"].tolist() == ["Drinks", "Food"]
    assert "Ann" not in str(shop.orders["customer_id"].tolist())


MARKETS = {
    "amazon": "amazon-order-id\tmerchant-order-id\tpurchase-date\torder-status\tproduct-name\tsku\tasin\titem-status\t"
    "quantity\tcurrency\titem-price\titem-tax\titem-promotion-discount\n"
    "a-1\t\t2023-03-12T14:05:33+00:00\tShipped\tTea\tT1\tB0\tShipped\t2\tUSD\t10.00\t0\t1.00\n"
    "a-2\t\t2023-03-13T14:05:33+00:00\tCancelled\tTea\tT1\tB0\tCancelled\t0\tUSD\t\t\t\n"
    "a-3\t\t2023-03-14T23:05:33+00:00\tShipped\tTea\tT1\tB0\tShipped\t1\tUSD\t5.00\t0\t\n",
    "etsy": "Sale Date,Item Name,Buyer,Quantity,Price,Coupon Code,Discount Amount,Item Total,Currency,Transaction ID,"
    "Listing ID,Order ID\n"
    "03/12/2023,Tea,ann lee,2,5.00,X,1.00,10,USD,9,T1,a-1\n03/14/2023,Tea,bo,1,5.00,,0,5,USD,8,T1,a-3\n",
    "ebay": "Sales Record Number,Order Number,Buyer Username,Buyer Email,Item Number,Item Title,Custom Label,Quantity,"
    "Sold For,Sale Date\n1,a-1,ann,x@y.org,T1,Tea,,2,$4.50,Mar-12-2023\n2,a-3,bo,x@y.org,T1,Tea,,1,$5.00,Mar-14-2023\n",
}


@pytest.mark.parametrize("market", MARKETS)
def test_markets(market, written):
    shop = open_shop(written(MARKETS[market]))
    assert shop.report.format == market
    assert shop.orders["revenue"].tolist() == [9.0, 5.0]
    assert shop.orders["timestamp"].dt.day.tolist() == [12, 14]
    if market == "amazon":
        assert any("UTC" in note for note in shop.report.notes)
        assert any("no line names a customer" in note for note in shop.report.notes)
        east = open_shop(written(MARKETS[market]), timezone="Asia/Tokyo")
        assert east.orders["timestamp"].dt.day.tolist() == [12, 15]


def test_the_courses_own_layout_with_every_table():
    folder = ROOT / "data" / "sample_shop"
    shop = open_shop(folder)
    for table in ("orders", "products", "promotions", "customers", "campaigns", "coupons", "redemptions"):
        found, wanted = getattr(shop, table), pd.read_csv(folder / f"{table}.csv")
        times = wanted.columns.intersection(["timestamp", "week_start", "start", "end", "date"])
        wanted[times] = wanted[times].apply(pd.to_datetime)
        if table != "orders":
            pd.testing.assert_frame_equal(found[wanted.columns], wanted, check_dtype=False)
        else:
            assert len(found) == len(wanted)
            assert found["revenue"].sum() == pytest.approx(wanted["revenue"].sum())


# --------------------------------------------------------------------------------------- files as they come


def packed(text):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("orders/2024.csv", text)
        file.writestr("__MACOSX/._2024.csv", "x")
    return archive.getvalue()


def semicolons(text):
    return "\n".join(line.replace(".50", ",50").replace(",", ";", 5) for line in text.splitlines())


KINDS = {
    "plain": TEXT.encode(),
    "with a mark": TEXT.encode("utf-8-sig"),
    "windows lines": TEXT.replace("\n", "\r\n").encode(),
    "UTF-16": TEXT.encode("utf-16"),
    "UTF-16 without a mark": TEXT.encode("utf-16-le"),
    "cp1252": TEXT.replace("P1", "Pü").encode("cp1252"),
    "gzip": gzip.compress(TEXT.encode()),
    "zip": packed(TEXT),
    "tabs": TEXT.replace(",", "\t").encode(),
    "bars": TEXT.replace(",", "|").encode(),
    "semicolons and commas": semicolons(TEXT).encode(),
    "sep= line": b"sep=,\n" + TEXT.encode(),
    "preamble": b"Sales report\nfrom January, to June\n\n" + TEXT.encode(),
    "wide preamble": b"Sales report,,,,,\n,,,,,\n" + TEXT.encode(),
    "index column": pd.read_csv(io.StringIO(TEXT)).to_csv().encode(),
    "old Mac": TEXT.replace("\n", "\r").encode(),
    "empty last line": TEXT.encode() + b"\n\n",
}


@pytest.mark.parametrize("kind", KINDS)
def test_files_as_they_come(kind, written):
    shop = open_shop(written(KINDS[kind], "any name.txt"))
    assert len(shop.orders) == 60
    assert shop.orders["revenue"].sum() == pytest.approx(2.5 * sum(1 + n % 3 for n in range(60)))
    assert shop.orders["order_id"].max() == 159
    if kind == "cp1252":
        assert "Pü" in set(shop.orders["product_id"])
        assert any("cp1252" in note for note in shop.report.notes)


def test_parquet_and_json_lines_are_read(written, tmp_path):
    frame = pd.read_csv(io.StringIO(TEXT))
    frame.to_parquet(tmp_path / "a.parquet")
    frame.assign(**{"Customer ID": frame["Customer ID"].astype(float)}).to_json(
        tmp_path / "b.json", orient="records", lines=True
    )
    frame.assign(Date=pd.to_datetime(frame["Date"]).dt.tz_localize("UTC")).set_index("Order ID").to_parquet(
        tmp_path / "c.parquet"
    )
    assert any("UTC" in note for note in open_shop(tmp_path / "c.parquet").report.notes)
    for name in ("a.parquet", "b.json", "c.parquet"):
        assert open_shop(tmp_path / name).orders["order_id"].max() == 159
        assert open_shop(tmp_path / name).orders["customer_id"].max() == 6


def test_excel_is_read_or_asked_for(written):
    rows = [["Sales"], FLAT.strip().split(","), *([*map(str, row.strip().split(","))] for row in ROWS)]
    rows[2:] = [[int(a), int(b), c, d, int(e), float(f)] for a, b, c, d, e, f in rows[2:]]
    path = written(xlsx(rows), "sales.xlsx")
    try:
        import python_calamine  # noqa: F401
    except ImportError:
        with pytest.raises(ShopError, match="python-calamine.* or save the sheet as CSV"):
            open_shop(path)
        return
    shop = open_shop(path)
    assert len(shop.orders) == 60
    assert shop.orders["customer_id"].max() == 6


def test_several_files_and_a_folder(written, tmp_path):
    first = written(FLAT + "".join(ROWS[:40]), "exports/orders_2023.csv")
    second = written(FLAT + "".join(ROWS[30:]), "exports/orders_2024.csv.gz")
    second.write_bytes(gzip.compress(second.read_bytes()))
    for paths in ([first, second], first.parent):
        shop = open_shop(paths)
        assert len(shop.orders) == 60
        assert steps(shop)["files overlap"] == (10, 10)


BAD = {
    "pdf": (b"%PDF-1.4 ...", "this is a PDF"),
    "pickle": (b"\x80\x04\x95abc", "a pickle"),
    "bytes": (b"\x01\x00\x02abc\x00\x03" * 9, "neither text nor a table"),
    "half gzip": (gzip.compress(TEXT.encode() * 50)[:400], "not a whole file"),
    "cut gzip": (gzip.compress(TEXT.encode() * 500)[:-20], "not a whole file"),
    "damaged zip": (packed(TEXT)[:60] + b"?" + packed(TEXT)[61:], "not a whole file"),
    "no parquet": (b"PAR1 nonsense", "not a whole file"),
    "empty": (b"", "empty"),
    "one column": (b"a\n1\n2\n", "one cell only"),
    "too many cells": ((TEXT + "1,2,P,2024-01-01,1,2,50\n").encode(), "line 62 has more cells"),
    "open quote": ((TEXT + '1,2,"P,2024-01-01,1,2\n').encode(), "quotation mark"),
    "a word": ((TEXT + "1,2,P,2024-01-01,two,2\n").encode(), "'two' in line 62, which is no number"),
    "no date": ((TEXT + "1,2,P,soon,2,2\n").encode(), "'soon' in line 62, which is no date"),
    "both orders": ((FLAT + "1,2,P,13/5/24,2,2\n1,2,P,5/13/24,2,2\n").encode(), "come in both orders"),
    "either order": ((FLAT + "1,2,P,3/4/24,2,2\n").encode(), "dayfirst=True or dayfirst=False"),
    "thousands?": ((FLAT + '1,2,P,2024-01-01,2,"1,250"\n').encode(), r"decimal='\.' or decimal=','"),
    "two products": (TEXT.replace("Date", "SKU", 1).encode(), "is product_id 'Product ID' or 'SKU'"),
    "twice": (TEXT.replace("Unit Price", "Quantity,Unit Price", 1).encode(), "'Quantity' is there twice"),
    "no price": (TEXT.replace("Unit Price", "Weight", 1).encode(), "hold the revenue .*columns="),
    "two currencies": (
        (
            FLAT.replace("Unit Price", "Unit Price,Currency")
            + "1,2,P,2024-01-01,2,2,USD\n1,2,P,2024-01-01,2,2,JPY\n"
        ).encode(),
        "never summed: keep one, currency='USD'",
    ),
    "nothing left": ((FLAT + "1,2,P,2024-01-01,0,2\n").encode(), "no line is left"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_inputs_get_one_sentence(kind, written, capsys):
    content, words = BAD[kind]
    path = written(content)
    with pytest.raises(ShopError, match=words) as caught:
        open_shop(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert check_export(path).problems
    assert main([str(path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_unclear_arguments_get_one_sentence(written):
    path = written(TEXT)
    for options, words in (
        ({"columns": {"Order": "Order ID"}}, "use .*order_id"),
        ({"columns": {"order_id": "Oder ID"}}, "found Order ID"),
        ({"returns": "keep"}, "the switches are"),
        ({"colour": "keep"}, "the switches are"),
    ):
        with pytest.raises(ShopError, match=words):
            open_shop(path, **options)
    with pytest.raises(ShopError, match="no such file"):
        open_shop("nowhere.csv")


def test_a_guess_is_shown_and_columns_settle_it(written, capsys):
    open_shop(written(TEXT))
    out = capsys.readouterr().out
    assert "product_id   <- Product ID" in out
    assert "As it is in the file" in out
    assert "this is a guess" in out
    other = TEXT.replace("Product ID", "Was", 1).replace("Unit Price", "Wert", 1)
    shop = open_shop(written(other), {"product_id": "was", "price": "Wert"})
    assert capsys.readouterr().out == ""
    assert len(shop.orders) == 60


# ------------------------------------------------------------------------------------------------- facts


@pytest.mark.parametrize("header", ["order-id", "ORDER_ID", " Order  Id ", "orderid"])
def test_spellings_of_a_header_are_one(header, written):
    assert len(open_shop(written(TEXT.replace("Order ID", header, 1))).orders) == 60


def test_ids_keep_leading_zeros_and_lose_decimals(written):
    shop = open_shop(written(TEXT.replace("P1", "05").replace("P2", "5")))
    assert {"05", "5"} <= set(shop.orders["product_id"])
    floats = open_shop(
        written(FLAT + "".join(r.replace(f",{n % 7},", f",{n % 7}.0,") for n, r in enumerate(ROWS)))
    )
    assert sorted(set(floats.orders["customer_id"])) == list(range(7))


@pytest.mark.parametrize("empty", ["NULL", "NA", "", "null", "None"])
def test_words_for_empty_are_empty(empty, written):
    shop = open_shop(written(TEXT.replace("101,1,", f"101,{empty},")))
    assert shop.orders["guest"].sum() == 1
    shop = open_shop(written(TEXT.replace(",P3,", f",{empty},")))
    assert steps(shop)["without product"] == (12, 12)


def test_emails_are_hashed_the_same_way_each_time(written):
    text = TEXT.replace("101,1,", "101,Ann@Example.org,").replace("108,1,", "108,ann@example.org ,")
    shop = open_shop(written(text))
    ids = shop.orders.set_index("order_id")["customer_id"]
    assert ids[101] == ids[108]
    assert not ids.str.contains("@").any()


def test_a_stand_in_for_many_customers_is_found(written):
    rng = np.random.default_rng(0)
    day = pd.date_range("2023-01-02", periods=364)
    rows = [(n, f"k{rng.integers(40)}", day[n % 364]) for n in range(120)]
    rows += [(1000 + n, "0", d) for n, d in enumerate(day)]
    lines = [f"{order},{who},P1,{when:%Y-%m-%d},1,2.5\n" for order, who, when in rows]
    shop = open_shop(written(FLAT + "".join(lines)))
    assert shop.orders["guest"].sum() == 364
    assert (
        shop.orders["customer_id"].nunique()
        == 364 + shop.orders["customer_id"][~shop.orders["guest"]].nunique()
    )
    assert "'0' stands for many" in shop.report.steps["why"].str.cat()
    few = [f"{n},{0 if n % 5 == 0 else 1 + n % 9},P1,2024-01-{1 + n % 28:02d},1,2.5\n" for n in range(200)]
    assert open_shop(written(FLAT + "".join(few))).orders["guest"].sum() == 40
    named = open_shop(written(TEXT.replace("101,1,", "101,Guest,")))
    assert named.orders["guest"].sum() == 1
    assert open_shop(written(TEXT)).orders.columns.tolist().count("guest") == 0  # a customer 0 like others


@pytest.mark.parametrize("when", ["1999-01-01", "2042-11-07"])
def test_dates_far_from_the_rest_are_left_out(when, written):
    path = written(TEXT + f"900,1,P1,{when} 10:00,1,2.5\n")
    shop = open_shop(path)
    assert steps(shop)["date far from the rest"] == (1, 1)
    assert f"{when} lies" in shop.report.steps["why"].str.cat(sep=" ")
    assert len(open_shop(path, far_dates="keep").orders) == 61


def test_few_dates_far_apart_are_no_error():
    assert not far_dates(pd.Series(pd.to_datetime(["2020-01-01", "2022-01-01"]))).any()
    half = pd.Series(pd.to_datetime(["2020-01-01"] * 30 + ["2022-01-01"] * 30))
    assert not far_dates(half).any()


def test_one_currency_is_kept(written):
    head = FLAT.replace("Unit Price", "Unit Price,Currency")
    rows = [row.strip() + (",JPY\n" if n == 3 else ",GBP\n") for n, row in enumerate(ROWS)]
    shop = open_shop(written(head + "".join(rows)))
    assert (shop.currency, steps(shop)["other currency"]) == ("£", (1, 1))
    assert open_shop(written(head + "".join(rows)), currency="JPY").currency == "¥"
    with pytest.raises(ShopError, match="the file holds GBP, JPY"):
        open_shop(written(head + "".join(rows)), currency="USD")


def test_scans_are_added_up_and_a_second_export_is_not():
    order = ["1", "1", "1", "2", "2", "1", "1", "1", "3", "3", "3", "3", "4", "4"]
    item = ["a", "a", "b", "a", "b", "a", "a", "b", "a", "a", "b", "b", "c", "c"]
    lines = pd.DataFrame({"order_id": order, "product_id": item, "quantity": 1.0, "revenue": 2.0})
    lines["timestamp"] = pd.Timestamp("2024-01-01")
    overlap, repeated, alike = exported_twice(lines)
    assert not overlap.any()
    # Order 1 stands there twice (its two scans of a stay two), order 3 line by line; 4 is two scans.
    assert repeated.nonzero()[0].tolist() == [0, 1, 2, 9, 11]
    assert alike.sum() == 1 + 3 + 2 + 1
    overlap, repeated, _ = exported_twice(
        pd.concat([lines.iloc[:5].assign(file=0), lines.iloc[:5].assign(file=1)])
    )
    assert (overlap.sum(), repeated.sum()) == (5, 0)


@pytest.mark.parametrize("numbered", [False, True])
def test_a_running_number_hides_no_repeated_export(numbered, written):
    frame = pd.read_csv(io.StringIO(TEXT))
    twice = pd.concat([frame, frame], ignore_index=True)
    shop = open_shop(written(twice.to_csv(index=numbered)))
    assert steps(shop)["repeated export"] == (60, 60)
    assert len(open_shop(written(twice.to_csv(index=numbered)), repeats="keep").orders) == 60
    sorted_twice = twice.sort_values("Order ID", kind="stable")
    assert steps(open_shop(written(sorted_twice.to_csv(index=numbered))))["repeated export"] == (60, 60)


def test_every_line_is_kept_or_reported(written):
    text = (
        INVOICES
        + "489455,85048,BALL,0,2009-12-04 11:00:00,1,1,France\n489456,,BALL,1,2009-12-04 11:00:00,1,1,F\n"
    )
    shop = open_shop(written(text))
    table = shop.report.steps
    read = table.loc[table["step"].str.startswith("read "), "lines"].sum()
    added = table.loc[table["step"] == "scans of one product"].iloc[0]
    assert len(shop.orders) == read - table["left_out"].sum() - (
        added["lines"] - int(added["why"].split()[3])
    )


def test_an_order_of_two_customers_is_parted(written):
    shop = open_shop(written(TEXT + "101,6,P3,2024-02-02 10:00,1,2.5\n"))
    assert shop.orders["order_id"].nunique() == 61
    assert steps(shop)["order of two customers"] == (2, 0)


def test_returns_are_taken_off_the_latest_earlier_sale(written):
    rows = ["1,7,P,2024-01-01,2,5", "2,7,P,2024-01-05,1,5", "3,7,P,2024-01-09,-2,5", "4,7,P,2024-01-10,1,5"]
    rows += ["5,8,P,2024-01-09,-1,5"]
    shop = open_shop(written(FLAT + "\n".join(rows)), returns="net")
    assert shop.orders[["order_id", "quantity", "revenue"]].values.tolist() == [[1, 1, 5], [4, 1, 5]]
    assert "1 found no earlier sale" in shop.report.steps["why"].str.cat()


# ------------------------------------------------------------------------------------------------- cells


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1.5", "2"], [1.5, 2]),
        (["1,5", "2"], [1.5, 2]),
        (["1.250,00", "2,50"], [1250, 2.5]),
        (["1,250.00", "2.50"], [1250, 2.5]),
        (["$1,250.00", "(2.50)"], [1250, -2.5]),
        (["EUR 3,10", "3,10-"], [3.1, -3.1]),
        (["1 250,50 €", "1'000"], [1250.5, 1000]),
        (["0.001", "1.250"], [0.001, 1.25]),
    ],
)
def test_numbers(cells, expected):
    reader, series = Reader(), pd.Series(cells, dtype="str")
    sign = decimal_sign([series], False, reader)
    assert as_numbers(series, sign, reader).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2024-05-31T17:45:10.250Z", "2024-05-31 17:45:10.250"),
        ("2024-05-31 17:45:00 UTC", "2024-05-31 17:45"),
        ("2024-05-31 17:45:00 -0400", "2024-05-31 17:45"),
        ("5/31/24 5:45 PM", "2024-05-31 17:45"),
        ("12/31/99", "1999-12-31"),
        ("5/31/24 12:05 AM", "2024-05-31 00:05"),
        ("5/31/24 12:05 PM", "2024-05-31 12:05"),
        ("31.5.2024 17:45", "2024-05-31 17:45"),
        ("2024/05/31", "2024-05-31"),
        ("20240531", "2024-05-31"),
        ("May 31, 2024", "2024-05-31"),
        ("1717177500", "2024-05-31 17:45"),
        ("1717177500000", "2024-05-31 17:45"),
    ],
)
def test_times(cell, expected):
    assert as_times(pd.Series([cell, None], dtype="str"), Reader())[0] == pd.Timestamp(expected)


def test_times_are_converted_to_the_shops_zone():
    times = pd.Series(["2024-07-01T03:30:00Z", "2024-01-01T03:30:00Z"], dtype="str")
    local = as_times(times, Reader("America/New_York"))
    assert local.dt.strftime("%m-%d %H:%M").tolist() == ["06-30 23:30", "12-31 22:30"]
    short = pd.Series(["2024-07-01 03:30+00", "2024-07-01 03:30-02:30"], dtype="str")  # as databases write it
    local = as_times(short, Reader("America/New_York"))
    assert local.dt.strftime("%m-%d %H:%M").tolist() == ["06-30 23:30", "07-01 02:00"]
    plain = pd.Series(["2024-07-01 03:30"], dtype="str")
    assert as_times(plain, Reader("America/New_York"))[0] == pd.Timestamp("2024-07-01 03:30")
    pair = as_times(plain, Reader(("UTC", "America/New_York")))
    assert pair[0] == pd.Timestamp("2024-06-30 23:30")
    assert as_times(pd.Series(["3/4/24"], dtype="str"), Reader(dayfirst=True))[0] == pd.Timestamp(
        "2024-04-03"
    )


# ----------------------------------------------------------------------------------------------- the command


def test_the_command_shows_the_report_and_the_check_every_finding(written, capsys):
    path = str(written(INVOICES))
    assert main([path]) == 0
    out = capsys.readouterr().out
    assert "Read as online_retail" in out
    assert "order begins with C" in out
    broken = TEXT.replace("2.50", "cheap", 1) + "900,1,P1,soon,1,2.5\n"
    assert main([str(written(broken)), "--check"]) == 1
    out = capsys.readouterr().out
    assert "'cheap' in line 2" in out
    assert "'soon' in line 62" in out
    assert main([str(written(TEXT.replace("Date", "Wann"))), "--columns", "timestamp=Wann"]) == 0


@pytest.mark.slow
def test_course_py_takes_a_path_from_where_one_stands(written):
    path = written(TEXT)
    done = subprocess.run(
        [sys.executable, str(ROOT / "course.py"), "shop", path.name],
        cwd=path.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Read as flat file" in done.stdout


# ------------------------------------------------------------------------------------- the course's exports


def test_the_invented_exports_are_the_scripts_and_small(tmp_path, monkeypatch):
    import importlib.util

    spec = importlib.util.spec_from_file_location("make_exports", ROOT / "data" / "make_exports.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    kept = script.FOLDER
    monkeypatch.setattr(script, "FOLDER", tmp_path)
    script.main()
    for path in sorted(tmp_path.iterdir()):
        shipped = (kept / path.name).read_bytes()
        unpack = gzip.decompress if path.suffix == ".gz" else bytes
        assert unpack(shipped) == unpack(path.read_bytes()), path.name
        assert 20_000 < len(shipped) < 51_200, path.name


@pytest.mark.parametrize(
    ("name", "format", "wanted"),
    [
        ("shopify_orders.csv", "shopify", {"other currency", "cancelled order", "refunded later"}),
        (
            "woocommerce_items.csv.gz",
            "woocommerce",
            {"date far from the rest", "cancelled order", "no goods"},
        ),
        ("square_items.csv.gz", "square", {"quantity below 0", "no goods"}),
        ("umsatzliste.csv", "flat file", {"without customer"}),
    ],
)
def test_each_export_shows_what_hides_in_it(name, format, wanted):
    shop = open_shop(ROOT / "data" / "exports" / name)
    assert shop.report.format == format
    assert wanted | {"without customer"} <= set(steps(shop))
    assert shop.products["product_id"].nunique() == 14
    assert shop.orders["timestamp"].dt.day_of_week.max() == 5  # the invented shop is closed on Sundays
    assert 0.1 < shop.orders["guest"].mean() < 0.4
    assert steps(shop).get("without order") is None


# --------------------------------------------------------------------------------------------- Online Retail


@pytest.fixture(scope="module")
def online_retail():
    from ecomlib.own.online_retail import FOLDER, load_online_retail

    return {path.name: open_shop(path) for path in sorted(FOLDER.glob("*.parquet"))} | {
        "both": load_online_retail()
    }


# What data/online_retail/README.md says of each file.
README = {
    "lines": (525_461, 541_909),
    "money": (9_539_484.63, 9_747_747.93),
    "span": ("2009-12-01 07:45 to 2010-12-09 20:01", "2010-12-01 08:26 to 2011-12-09 12:50"),
    "order begins with C": (10_206, 9_288),
    "quantity below 0": (12_326, 10_624),
    "without customer": (107_927, 135_080),
    "price 0": (3_687, 2_515),
    "amount below 0": (3, 2),
    "line that repeats another": (6_865, 5_268),
    "customers": (4_383, 4_372),
    "products": (4_632, 4_070),
    "countries": (40, 38),
}
# A blank at the end of one code, and names that differ in two pairs of repeated lines.
ACCOUNTED = {"products": (-1, 0), "line that repeats another": (0, 2)}


@pytest.mark.slow
def test_every_figure_of_online_retails_readme_is_met(online_retail):
    for number, shop in enumerate([*online_retail.values()][:2]):
        table = shop.report.steps
        read = table.iloc[0]
        assert read["lines"] == README["lines"][number]
        assert read["revenue"] == pytest.approx(README["money"][number], abs=0.005)
        assert read["why"].startswith(README["span"][number])
        for what in ("customers", "products", "countries"):
            expected = README[what][number] + ACCOUNTED.get(what, (0, 0))[number]
            assert f"{expected:,} {what}" in read["why"]
        found = table.set_index("step")["lines"]
        for step in (
            "order begins with C",
            "quantity below 0",
            "without customer",
            "price 0",
            "amount below 0",
        ):
            assert found[step] == README[step][number], step
        repeats = README["line that repeats another"][number] + ACCOUNTED["line that repeats another"][number]
        assert found["line that repeats another"] == repeats
        named = table.loc[table["step"] == "no goods", "why"].item()
        assert all(code in named for code in ("POST", "DOT", "C2", "M"))
        assert shop.products["product_id"].isin(["POST", "PADS", "CRUK", "TEST001", "AMAZONFEE"]).sum() == 0
        assert len(shop.orders) == (shop.orders["quantity"] > 0).sum()


@pytest.mark.slow
def test_online_retails_files_overlap_by_nine_days(online_retail):
    shop = online_retail["both"]
    table = shop.report.steps.set_index("step")
    assert table.loc["files overlap", ["lines", "left_out"]].tolist() == [22_523, 22_523]
    assert table.loc["files overlap", "revenue"] == pytest.approx(377_488.45, abs=0.005)
    read = shop.report.steps["lines"][:2].sum()
    scans = table.loc["scans of one product"]
    assert len(shop.orders) == read - table["left_out"].sum() - (
        scans["lines"] - int(scans["why"].split()[3].replace(",", ""))
    )
    day = shop.orders["timestamp"].dt
    assert (day.day_of_week == 5).mean() < 0.001  # closed on Saturdays
    assert not ((day.month == 12) & day.day.between(24, 31)).any()
    assert shop.currency == "£"
    assert not shop.orders["customer_id"].isna().any()


@pytest.mark.slow
def test_online_retail_serves_every_use_case(online_retail):
    from ecomlib import Split, purchases, recommend, sales
    from ecomlib.panels import weekly_panel

    shop = online_retail["both"]
    split = Split.last(test="56D", valid="28D", end="2011-12-04")
    task = sales.task(shop, split, level="category", closed=("Sat",))
    assert task.n_series == 40
    panel = weekly_panel(shop.orders)
    guests = shop.orders["guest"]
    assert len(panel.customers) == shop.orders["customer_id"][~guests].nunique()
    assert panel["spend"].sum() < shop.orders["revenue"].sum()
    trips = recommend.task(shop, split, "product_id", 50)
    assert not any(str(name).startswith("guest") for name in trips.names)
    assert len(purchases.task(shop, split).panel.customers) == len(panel.customers)
