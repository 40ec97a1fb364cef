//! An origin's side of HTTP/1.1.

use std::io;
use std::sync::Arc;

use serde_json::Value;

use super::{Behaviour, BodySeen, Seen, Shared, Step};
use crate::tls::Greeting;
use crate::wire::{Checksum, Fields, Framing, Head, Io, Wire, chunk};

/// What becomes of the connection.
#[derive(PartialEq, Eq)]
enum After {
    Keep,
    Close,
}

pub(super) async fn serve(
    shared: Arc<Shared>,
    io: Box<dyn Io>,
    connection: usize,
    greeting: Option<Greeting>,
) -> io::Result<()> {
    let mut wire = Wire::new(io);
    while let Some(head) = wire.head().await? {
        let (number, behaviour) = shared.record(seen(&head, connection, greeting.clone()));
        let mut exchange = Exchange { shared: &shared, wire: &mut wire, head, number };
        if exchange.act(behaviour).await? == After::Close {
            break;
        }
    }
    Ok(())
}

fn seen(head: &Head, connection: usize, greeting: Option<Greeting>) -> Seen {
    let words = head.words();
    let word = |at: usize| words.get(at).copied().unwrap_or_default().to_owned();
    Seen {
        connection,
        method: word(0),
        target: word(1),
        version: word(2),
        fields: head.fields.clone(),
        raw: head.raw.clone(),
        greeting,
        body: None,
    }
}

struct Exchange<'a> {
    shared: &'a Shared,
    wire: &'a mut Wire,
    head: Head,
    number: usize,
}

impl Exchange<'_> {
    async fn act(&mut self, behaviour: Behaviour) -> io::Result<After> {
        match behaviour {
            Behaviour::Echo => self.echo().await,
            Behaviour::Gated => match self.gate().await? {
                After::Keep => self.echo().await,
                After::Close => Ok(After::Close),
            },
            Behaviour::Mirror => self.mirror().await,
            Behaviour::Reply { status, fields, body } => {
                self.read_body().await?;
                self.respond(status, &fields, body.as_bytes()).await
            }
            Behaviour::Parts(parts) => self.parts(&parts).await,
            Behaviour::Trailers { fields, body, trailers } => self.trailers(fields, &body, &trailers).await,
            Behaviour::Interim(heads) => {
                for (status, fields) in heads {
                    self.wire.write((response_head(status, &fields) + "\r\n").as_bytes()).await?;
                }
                match self.gate().await? {
                    After::Keep => self.echo().await,
                    After::Close => Ok(After::Close),
                }
            }
            Behaviour::Abort => Ok(After::Close),
            Behaviour::Raw(steps) => self.raw(steps).await,
        }
    }

    async fn echo(&mut self) -> io::Result<After> {
        let json = self.read_body().await?;
        let fields = vec![("content-type".to_owned(), "application/json".to_owned())];
        self.respond(200, &fields, json.to_string().as_bytes()).await
    }

    async fn read_body(&mut self) -> io::Result<Value> {
        self.encourage().await?;
        let mut framing = self.head.framing(Framing::Length(0))?;
        let (mut length, mut sum) = (0, Checksum::default());
        while let Some(piece) = self.wire.piece(&mut framing).await? {
            length += piece.len() as u64;
            sum.add(&piece);
        }
        let trailers = std::mem::take(&mut self.wire.trailers);
        Ok(self.shared.body_came(self.number, BodySeen { length, sum, trailers }))
    }

    /// Answers `Expect: 100-continue`.
    async fn encourage(&mut self) -> io::Result<()> {
        match self.head.field("expect") {
            Some(_) => self.wire.write(b"HTTP/1.1 100 Continue\r\n\r\n").await,
            None => Ok(()),
        }
    }

    async fn respond(&mut self, status: u16, fields: &Fields, body: &[u8]) -> io::Result<After> {
        let mut message = response_head(status, fields);
        if status != 204 && status != 304 {
            message.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        let mut message = (message + "\r\n").into_bytes();
        if self.head.words().first() != Some(&"HEAD") {
            message.extend_from_slice(body);
        }
        self.wire.write(&message).await?;
        Ok(After::Keep)
    }

    async fn mirror(&mut self) -> io::Result<After> {
        self.encourage().await?;
        self.wire.write(chunked_head(&[]).as_bytes()).await?;
        let mut framing = self.head.framing(Framing::Length(0))?;
        let (mut length, mut sum) = (0, Checksum::default());
        loop {
            let piece = self.wire.piece(&mut framing).await.inspect_err(|_| self.shared.aborted())?;
            let Some(piece) = piece else { break };
            length += piece.len() as u64;
            sum.add(&piece);
            self.wire.write(&chunk(&piece)).await.inspect_err(|_| self.shared.aborted())?;
        }
        let trailers = std::mem::take(&mut self.wire.trailers);
        self.shared.body_came(self.number, BodySeen { length, sum, trailers });
        self.wire.write(b"0\r\n\r\n").await?;
        Ok(After::Keep)
    }

    async fn parts(&mut self, parts: &[String]) -> io::Result<After> {
        self.read_body().await?;
        self.wire.write(chunked_head(&[]).as_bytes()).await?;
        for (index, part) in parts.iter().enumerate() {
            if index > 0 && self.gate().await? == After::Close {
                return Ok(After::Close);
            }
            self.wire.write(&chunk(part.as_bytes())).await.inspect_err(|_| self.shared.aborted())?;
        }
        self.wire.write(b"0\r\n\r\n").await?;
        Ok(After::Keep)
    }

    async fn trailers(&mut self, mut fields: Fields, body: &str, trailers: &Fields) -> io::Result<After> {
        self.read_body().await?;
        let names: Vec<&str> = trailers.iter().map(|(name, _)| name.as_str()).collect();
        fields.push(("trailer".to_owned(), names.join(", ")));
        let mut message = chunked_head(&fields).into_bytes();
        message.extend(chunk(body.as_bytes()));
        message.extend_from_slice(b"0\r\n");
        for (name, value) in trailers {
            message.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        message.extend_from_slice(b"\r\n");
        self.wire.write(&message).await?;
        Ok(After::Keep)
    }

    async fn raw(&mut self, steps: Vec<Step>) -> io::Result<After> {
        for step in steps {
            match step {
                Step::Send(bytes) => self.wire.write(&bytes).await?,
                Step::Body => drop(self.read_body().await?),
                Step::Gate => {
                    if self.gate().await? == After::Close {
                        return Ok(After::Close);
                    }
                }
                Step::Deaf => self.shared.pass_gate().await,
                Step::Tunnel => return self.tunnel().await,
                Step::Close => return Ok(After::Close),
            }
        }
        Ok(After::Keep)
    }

    async fn tunnel(&mut self) -> io::Result<After> {
        let mut framing = Framing::UntilClose;
        while let Some(piece) = self.wire.piece(&mut framing).await? {
            self.wire.write(&piece).await?;
        }
        Ok(After::Close)
    }

    /// Waits to be released, and meanwhile for the peer to go away.
    async fn gate(&mut self) -> io::Result<After> {
        let passed = self.shared.pass_gate();
        tokio::pin!(passed);
        loop {
            tokio::select! {
                () = &mut passed => return Ok(After::Keep),
                read = self.wire.fill() => {
                    if read.unwrap_or(0) == 0 {
                        self.shared.aborted();
                        return Ok(After::Close);
                    }
                }
            }
        }
    }
}

fn response_head(status: u16, fields: &[(String, String)]) -> String {
    let mut head = format!("HTTP/1.1 {status} Answer\r\n");
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head
}

fn chunked_head(fields: &[(String, String)]) -> String {
    response_head(200, fields) + "transfer-encoding: chunked\r\n\r\n"
}
