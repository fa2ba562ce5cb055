//! The chart of accounts agrees with the code: every asset stands in both with the same scale, and
//! every liability and asset has its floor.

use primitives::Asset;
use testkit_db::TestDb;

#[tokio::test]
async fn assets_have_the_scales_of_primitives() {
    let db = TestDb::create().await.unwrap();
    let mut rows: Vec<(String, i16)> =
        sqlx::query_as("select code, scale from ledger.assets").fetch_all(&db.app).await.unwrap();
    rows.sort();
    let mut ours: Vec<(String, i16)> = Asset::ALL
        .iter()
        .map(|asset| (asset.code().to_owned(), i16::try_from(asset.scale()).unwrap()))
        .collect();
    ours.sort();
    assert_eq!(rows, ours);
}

#[tokio::test]
async fn every_asset_and_liability_has_a_floor() {
    let db = TestDb::create().await.unwrap();
    let without: Vec<String> = sqlx::query_scalar(
        "select code from ledger.roles where guard <> case class::text
             when 'asset' then 1 when 'liability' then 2 else 0 end",
    )
    .fetch_all(&db.app)
    .await
    .unwrap();
    assert_eq!(without, Vec::<String>::new());
}
