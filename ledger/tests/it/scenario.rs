//! Every flow of the business has a place in the books: the handbook's scenario, posted through the
//! Rust doors as the application's role, with an assertion after each block.

use ledger::LedgerError;
use testkit_db::TestDb;

use crate::book::{Book, now, transfer};

const CONVERT_100_USDC: &str = "dep:m1:USDC > trading:USDC 100000000
    trading:INR > merchant:m1:INR 880000
    merchant:m1:INR > fee:INR 8800
    merchant:m1:INR > gst.payable:INR 1584
    merchant:m1:INR > tds.payable:INR 8800";

const PAYOUT: &str = "merchant:m1:INR > bank:rzpx:INR 860816";

#[tokio::test]
async fn every_flow_of_the_business() {
    let db = TestDb::create().await.unwrap();
    let book = Book(&db.app);
    book.did("cap:1", "capital", "bank:rzpx:INR > cap:INR 500000000").await;
    book.did("cap:2", "capital", "gas:eth:ETH > cap:ETH 1000000000000000000").await;
    accepted(&book).await;
    sold(&book).await;
    paid_out(&book).await;
    underpaid(&book).await;
    payout_failed_and_returned(&book).await;
    overpaid(&book).await;
    late_and_unidentified(&book).await;
    reorganised(&book).await;
    paid_out_before_the_reorganisation(&book).await;
    taxes(&book).await;
    book.is_sound().await;

    let mut conn = db.app.acquire().await.unwrap();
    let bank = book.posted("bank:rzpx:INR").await;
    let later = now() + chrono::TimeDelta::hours(1);
    let as_of = ledger::balance_as_of(&mut conn, "bank:rzpx:INR", later).await.unwrap();
    assert_eq!(as_of.unwrap().minor(), bank);
}

/// 100 USDC at a locked ₹88.00, fee 1 %, GST 18 % of it, TDS 1 %.
async fn accepted(book: &Book<'_>) {
    let seen = transfer("dep:0xaa:7:seen", "deposit", "escrow:eth:USDC > dep:m1:USDC 100000000");
    book.hold(&seen).await.unwrap();
    assert_eq!(book.posted("escrow:eth:USDC").await, 0, "seen is not yet posted");
    book.capture("dep:0xaa:7:seen", "dep:0xaa:7:final", "deposit").await.unwrap();
    book.did("conv:s1", "convert", CONVERT_100_USDC).await;
    assert_eq!(book.posted("merchant:m1:INR").await, 860_816);
}

/// Swept to the venue and sold at 88.40 and 88.65; the first order is filled in part and cancelled.
async fn sold(book: &Book<'_>) {
    let sweep = "transit:eth-venue:USDC > escrow:eth:USDC 100000000
        networkfee:ETH > gas:eth:ETH 300000000000000";
    book.did("out:eth:0xbb", "transfer.out", sweep).await;
    let arrived = "venue:x:USDC:free > transit:eth-venue:USDC 100000000";
    book.did("in:x:dep991", "transfer.in", arrived).await;
    book.did("ord:x:o1:new", "order", "venue:x:USDC:order > venue:x:USDC:free 100000000").await;
    let fill = "trading:USDC > venue:x:USDC:order 60000000
        venue:x:INR:free > trading:INR 530400
        venuefee:INR > venue:x:INR:free 900
        gst.input:INR > venue:x:INR:free 161
        tds.receivable:INR > venue:x:INR:free 5304";
    book.did("fill:x:o1:t1", "fill", fill).await;
    assert_eq!(book.posted("venue:x:USDC:order").await, 40_000_000, "locked remainder");
    book.did("ord:x:o1:cancel", "order", "venue:x:USDC:free > venue:x:USDC:order 40000000").await;
    assert_eq!(book.posted("venue:x:USDC:free").await, 40_000_000, "free again");
    book.did("ord:x:o2:new", "order", "venue:x:USDC:order > venue:x:USDC:free 40000000").await;
    let fill = "trading:USDC > venue:x:USDC:order 40000000
        venue:x:INR:free > trading:INR 354600
        venuefee:INR > venue:x:INR:free 709
        tds.receivable:INR > venue:x:INR:free 3546";
    book.did("fill:x:o2:t1", "fill", fill).await;
    assert_eq!(book.posted("trading:USDC").await, 0, "the position is flat");
    assert_eq!(book.posted("trading:INR").await, 5_000, "the gain");
    book.did("close:1", "trading.close", "trading:INR > result:INR 5000").await;
    book.did("out:x:wd1", "transfer.out", "transit:v-bank:INR > venue:x:INR:free 874380").await;
    book.did("in:rzpx:utr1", "transfer.in", "bank:rzpx:INR > transit:v-bank:INR 874380").await;
    assert_eq!(book.posted("venue:x:INR:free").await, 0);
}

/// The float pays the merchant, once.
async fn paid_out(book: &Book<'_>) {
    book.hold(&transfer("pay:s1:1:hold", "payout", PAYOUT)).await.unwrap();
    let twice = book.hold(&transfer("pay:s1:2:hold", "payout", PAYOUT)).await;
    assert!(matches!(twice, Err(LedgerError::WouldOverdraw { .. })), "the same money twice");
    book.capture("pay:s1:1:hold", "pay:s1:1:done", "payout").await.unwrap();
    let cost = "payoutfee:INR > bank:rzpx:INR 500\ngst.input:INR > bank:rzpx:INR 90";
    book.did("pay:s1:1:cost", "payout.cost", cost).await;
    assert_eq!(book.posted("merchant:m1:INR").await, 0, "the merchant is paid");
    assert_eq!(book.posted("escrow:eth:USDC").await, 0);
}

/// 90 of 100 arrive; a top-up of 10 completes it.
async fn underpaid(book: &Book<'_>) {
    book.did("dep:0xu1:0", "deposit", "escrow:eth:USDC > dep:m1:USDC 90000000").await;
    let more = book.post(&transfer("conv:s2", "convert", CONVERT_100_USDC)).await;
    assert!(matches!(more, Err(LedgerError::WouldOverdraw { .. })), "more than was paid");
    book.did("dep:0xu2:0", "deposit", "escrow:eth:USDC > dep:m1:USDC 10000000").await;
    book.did("conv:s2", "convert", CONVERT_100_USDC).await;
}

/// Failed, retried, processed with its cost, then returned by the bank, cost included.
async fn payout_failed_and_returned(book: &Book<'_>) {
    book.hold(&transfer("pay:s2:1:hold", "payout", PAYOUT)).await.unwrap();
    book.release("pay:s2:1:hold", "pay:s2:1:failed", "payout").await.unwrap();
    book.hold(&transfer("pay:s2:2:hold", "payout", PAYOUT)).await.unwrap();
    book.capture("pay:s2:2:hold", "pay:s2:2:done", "payout").await.unwrap();
    let bank = book.posted("bank:rzpx:INR").await;
    let cost = "payoutfee:INR > bank:rzpx:INR 500\ngst.input:INR > bank:rzpx:INR 90";
    book.did("pay:s2:2:cost", "payout.cost", cost).await;
    let returned = "bank:rzpx:INR > merchant:m1:INR 860816
        bank:rzpx:INR > payoutfee:INR 500
        bank:rzpx:INR > gst.input:INR 90";
    book.did("pay:s2:2:returned", "payout.returned", returned).await;
    assert_eq!(book.posted("merchant:m1:INR").await, 860_816, "owed again");
    assert_eq!(book.posted("bank:rzpx:INR").await, bank + 860_816);
}

/// 120 for 100: 100 converted, 20 promised back and sent, less a fee of 1.
async fn overpaid(book: &Book<'_>) {
    book.did("dep:0xo1:0", "deposit", "escrow:eth:USDC > dep:m1:USDC 120000000").await;
    let convert = "dep:m1:USDC > trading:USDC 100000000\ntrading:INR > merchant:m1:INR 880000";
    book.did("conv:s3", "convert", convert).await;
    book.did("ref:s3:reserve", "refund.reserve", "dep:m1:USDC > refund:USDC 20000000").await;
    let sent = "refund:USDC > escrow:eth:USDC 19000000
        refund:USDC > fee:USDC 1000000
        networkfee:ETH > gas:eth:ETH 300000000000000";
    book.did("ref:s3:sent", "refund.sent", sent).await;
    assert_eq!(book.posted("refund:USDC").await, 0);
}

/// Three deposits nobody expected: one assigned at a new quote, two refunded on either way.
async fn late_and_unidentified(book: &Book<'_>) {
    for (key, minor) in [("0xl1", 50_000_000), ("0xl2", 30_000_000), ("0xl3", 20_000_000)] {
        let lines = format!("escrow:eth:USDC > suspense:USDC {minor}");
        book.did(&format!("dep:{key}:0"), "deposit.unidentified", &lines).await;
    }
    book.did("sus:0xl1", "suspense.assign", "suspense:USDC > dep:m1:USDC 50000000").await;
    let convert = "dep:m1:USDC > trading:USDC 50000000\ntrading:INR > merchant:m1:INR 437500";
    book.did("conv:s4", "convert", convert).await;
    book.did("sus:0xl2", "refund.reserve", "suspense:USDC > refund:USDC 30000000").await;
    book.did("sus:0xl3", "suspense.assign", "suspense:USDC > refund:USDC 20000000").await;
    let sent = "refund:USDC > escrow:eth:USDC 50000000
        networkfee:ETH > gas:eth:ETH 300000000000000";
    book.did("ref:late:sent", "refund.sent", sent).await;
    assert_eq!(book.posted("suspense:USDC").await, 0);
}

/// Gone while only seen, after final, and after conversion.
async fn reorganised(book: &Book<'_>) {
    let deposit = "escrow:eth:USDC > dep:m1:USDC 70000000";
    let gone = "dep:m1:USDC > escrow:eth:USDC 70000000";
    book.hold(&transfer("dep:0xr1:0:seen", "deposit", deposit)).await.unwrap();
    book.release("dep:0xr1:0:seen", "dep:0xr1:0:gone", "deposit").await.unwrap();
    book.did("dep:0xr2:0", "deposit", deposit).await;
    book.did("reorg:0xr2:0", "deposit.reorg", gone).await;
    book.did("dep:0xr3:0", "deposit", deposit).await;
    let convert = "dep:m1:USDC > trading:USDC 70000000\ntrading:INR > merchant:m1:INR 616000";
    book.did("conv:s5", "convert", convert).await;
    let early = book.post(&transfer("reorg:0xr3:0", "deposit.reorg", gone)).await;
    assert!(matches!(early, Err(LedgerError::WouldOverdraw { .. })), "still converted");
    book.reverse("conv:s5", "conv:s5:undo").await.unwrap();
    book.did("reorg:0xr3:0", "deposit.reorg", gone).await;
}

/// The rupees are gone: a claim remains, a part is collected, the rest written off.
async fn paid_out_before_the_reorganisation(book: &Book<'_>) {
    book.did("dep:0xr4:0", "deposit", "escrow:eth:USDC > dep:m1:USDC 70000000").await;
    let convert = "dep:m1:USDC > trading:USDC 70000000\ntrading:INR > merchant:m1:INR 616000";
    book.did("conv:s6", "convert", convert).await;
    let payout = "merchant:m1:INR > bank:rzpx:INR 1914316";
    book.hold(&transfer("pay:s6:1:hold", "payout", payout)).await.unwrap();
    book.capture("pay:s6:1:hold", "pay:s6:1:done", "payout").await.unwrap();
    book.did("reorg:0xr4:0", "deposit.reorg", "claim:USDC > escrow:eth:USDC 70000000").await;
    let collect = "trading:USDC > claim:USDC 20000000\nmerchant:m1:INR > trading:INR 176000";
    book.did("claim:0xr4:1", "clawback", collect).await;
    book.did("claim:0xr4:2", "write.off", "loss:USDC > claim:USDC 50000000").await;
    assert_eq!(book.posted("claim:USDC").await, 0);
}

async fn taxes(book: &Book<'_>) {
    book.did("tax:tds", "tax.paid", "tds.payable:INR > bank:rzpx:INR 17600").await;
    book.did("tax:gst:set-off", "tax.paid", "gst.payable:INR > gst.input:INR 251").await;
    book.did("tax:gst", "tax.paid", "gst.payable:INR > bank:rzpx:INR 2917").await;
    assert_eq!(book.posted("gst.payable:INR").await, 0);
}
