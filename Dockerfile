# One image with the one binary; the role is the command: `docker run chukta api`. The signer, the
# only program with keys of the escrow, is an image and a user of its own (target `signer`), and so
# are the payers of local nodes (target `sandbox`). The targets
# `anvil` and `bitcoind` are the local chain nodes of docker-compose.yml.

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --locked --release -p chukta --bin chukta -p signer --bin chukta-signer -p sandbox --bin chukta-sandbox

FROM node:20-bookworm-slim AS anvil
WORKDIR /opt/anvil
COPY scripts/node/package.json scripts/node/package-lock.json scripts/node/.npmrc ./
RUN npm ci --ignore-scripts \
    && case "$(uname -m)" in aarch64) processor=arm64 ;; *) processor=amd64 ;; esac \
    && package="@foundry-rs/anvil-linux-$processor" \
    && if [ ! -d "node_modules/$package" ]; then \
         npm install --no-save --ignore-scripts "$package@1.7.1"; \
       fi \
    && ln -s "/opt/anvil/node_modules/$package/bin/anvil" /usr/local/bin/anvil
USER node
EXPOSE 8545
HEALTHCHECK --interval=3s --timeout=3s --retries=20 CMD ["node", "-e", "fetch('http://127.0.0.1:8545',{method:'POST',headers:{'content-type':'application/json'},body:JSON.stringify({jsonrpc:'2.0',id:1,method:'eth_chainId',params:[]})}).then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"]
ENTRYPOINT ["anvil"]

FROM debian:forky-slim AS bitcoind
RUN apt-get update \
    && apt-get install -y --no-install-recommends bitcoin-knots \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/regtest --uid 10002 regtest
USER regtest
EXPOSE 18443
HEALTHCHECK --interval=3s --timeout=3s --retries=20 CMD ["bitcoin-cli", "-regtest", "-rpcuser=chukta", "-rpcpassword=regtest", "getblockcount"]
ENTRYPOINT ["bitcoind", "-regtest", "-datadir=/var/lib/regtest", "-server", "-txindex=1", "-disablewallet=1", "-listen=0", "-connect=0", "-dnsseed=0", "-listenonion=0", "-rpcbind=0.0.0.0", "-rpcallowip=0.0.0.0/0", "-rpcport=18443", "-rpcuser=chukta", "-rpcpassword=regtest"]

# The socket's folder is open to the group 10010, and to nobody else.
FROM debian:bookworm-slim AS signer
RUN groupadd --gid 10010 signing \
    && useradd --system --no-create-home --uid 10003 --gid 10010 --shell /usr/sbin/nologin signer \
    && mkdir -p /var/lib/signer /run/signer \
    && chown signer:signing /var/lib/signer /run/signer \
    && chmod 700 /var/lib/signer && chmod 710 /run/signer
COPY --from=build /src/target/release/chukta-signer /usr/local/bin/chukta-signer
USER 10003:10010
STOPSIGNAL SIGTERM
ENTRYPOINT ["chukta-signer"]
CMD ["--help"]

# Payers of the local nodes, with keys that everybody knows: not for production.
FROM debian:bookworm-slim AS sandbox
RUN useradd --system --no-create-home --uid 10001 --shell /usr/sbin/nologin chukta
WORKDIR /opt/chukta
COPY --from=build /src/target/release/chukta-sandbox /usr/local/bin/chukta-sandbox
USER 10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["chukta-sandbox"]
CMD ["--help"]

FROM debian:bookworm-slim AS chukta
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --uid 10001 --shell /usr/sbin/nologin chukta
WORKDIR /opt/chukta
COPY --from=build /src/target/release/chukta /usr/local/bin/chukta
COPY config ./config
USER 10001
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["chukta"]
CMD ["--help"]
