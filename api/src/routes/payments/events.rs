//! `GET /v1/payments/{id}/events`: what happens to a payment, as it happens.
//!
//! Invariants: each event carries its place in the sequence, so a client that comes back with
//! `Last-Event-ID` misses nothing and hears nothing twice. The database is asked by a task of its
//! own: a client that hangs up drops the stream, not a query.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use primitives::{MerchantId, PaymentId};
use serde::Serialize;
use settlement::{payment, views, views::PaymentEvent};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

use crate::{
    auth::{Guarded, PaymentsRead},
    extract::PaymentIdPath,
    problem::{Code, Problem},
    state::Api,
};

use super::not_found;

const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream ends after this many looks (about an hour); its client resumes where it was. So a
/// revoked key does not listen for ever.
const LOOKS_MAX: u32 = 7200;
/// A client that reads nothing for so long is gone, or ought to be.
const STALLED_MAX: Duration = Duration::from_secs(60);
/// Events waiting for a client that reads slowly.
const WAITING_MAX: usize = 64;

/// The `data` of one event; `id` is its place in the sequence, `event` its type.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PaymentEvent)]
pub(crate) struct EventView {
    id: String,
    payment_id: String,
    #[schema(example = "payment.accepted")]
    r#type: String,
    at: chrono::DateTime<chrono::Utc>,
    data: serde_json::Value,
}

#[utoipa::path(
    get, path = "/v1/payments/{id}/events", tag = "payments", operation_id = "follow_payment",
    summary = "Follow a payment",
    params(
        ("id" = String, Path, description = "The payment's id", example = "pay_…"),
        ("Last-Event-ID" = Option<String>, Header,
            description = "The id of the last event that was received; only later ones are sent"),
    ),
    responses(
        (status = 200, description = "Server-sent events, from the first or the one asked for",
            body = EventView, content_type = "text/event-stream"),
    )
)]
pub(crate) async fn handler(
    State(api): State<Api>,
    caller: Guarded<PaymentsRead>,
    PaymentIdPath(id): PaymentIdPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = last_event_id(&headers)?;
    let mut conn = api.connection().await?;
    payment::find(&mut conn, caller.merchant, id).await?.ok_or(not_found())?;
    drop(conn);
    let place = api.streams.clone().try_acquire_owned().map_err(|_| {
        Problem::new(Code::TooManyStreams, "Read the payment itself, or try again.").retry_after(5)
    })?;
    let (news, stream) = mpsc::channel(WAITING_MAX);
    let follower = Follower { api, merchant: caller.merchant, payment: id, after, news };
    tokio::spawn(follower.run(place));
    let mut response = Sse::new(ReceiverStream::new(stream))
        .keep_alive(KeepAlive::new().interval(HEARTBEAT).text("still here"))
        .into_response();
    // Proxies that collect an answer before passing it on would hold events back.
    let name = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(name, HeaderValue::from_static("no"));
    Ok(response)
}

fn last_event_id(headers: &HeaderMap) -> Result<i64, Problem> {
    const REFUSED: Problem =
        Problem::new(Code::LastEventIdInvalid, "Send the id of an event of this stream.");
    let mut values = headers.get_all("last-event-id").iter();
    let (value, more) = (values.next(), values.next());
    let Some(value) = value else {
        return Ok(0);
    };
    let text = value.to_str().map_err(|_| REFUSED)?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || more.is_some() {
        return Err(REFUSED);
    }
    text.parse().map_err(|_| REFUSED)
}

struct Follower {
    api: Api,
    merchant: MerchantId,
    payment: PaymentId,
    after: i64,
    news: mpsc::Sender<Result<Event, Infallible>>,
}

impl Follower {
    async fn run(mut self, place: OwnedSemaphorePermit) {
        let at_work = self.api.at_work.clone();
        let mut stopping = self.api.stopping.clone();
        let pause = Duration::from_millis(self.api.given.settings.stream_poll_ms);
        for _ in 0..LOOKS_MAX {
            // A database that is away for a moment is not the end of a stream.
            let news = self.look().await.unwrap_or_default();
            for event in news {
                if self.tell(event).await.is_err() {
                    return;
                }
            }
            // No database call is pending here: this wait may be cut short.
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.news.closed() => return,
                Ok(_) = stopping.wait_for(|stop| *stop) => return,
            }
        }
        drop((place, at_work));
    }

    async fn look(&self) -> Result<Vec<PaymentEvent>, Problem> {
        let mut conn = self.api.connection().await?;
        let news = views::events_after(&mut conn, self.merchant, self.payment, self.after).await;
        Ok(news?)
    }

    async fn tell(&mut self, event: PaymentEvent) -> Result<(), ()> {
        self.after = event.seq;
        let view = EventView {
            id: event.id.to_string(),
            payment_id: self.payment.to_string(),
            r#type: event.kind.clone(),
            at: event.at,
            data: event.data,
        };
        let line = serde_json::to_string(&view).map_err(|_| ())?;
        let message = Event::default().id(event.seq.to_string()).event(event.kind).data(line);
        let mut stopping = self.api.stopping.clone();
        tokio::select! {
            sent = self.news.send(Ok(message)) => sent.map_err(|_| ()),
            () = tokio::time::sleep(STALLED_MAX) => Err(()),
            Ok(_) = stopping.wait_for(|stop| *stop) => Err(()),
        }
    }
}
