-- Who leads the scan of a network, and payments that no block holds yet.

-- The leader of a task is whoever took it last; the epoch rises with every change. Work of a network
-- commits only while its epoch is the newest, so a leader that was frozen finds itself fenced out.
create table leaders (
  name     text primary key check (length(name) between 1 and 80),
  holder   text not null check (length(holder) between 1 and 80),
  epoch    bigint not null check (epoch >= 1),
  taken_at timestamptz not null
);
grant select, insert, update on leaders to chukta_app;

-- What a pending payment spends and nothing else can: it tells a replacement from an absence.
alter table deposits add column spends text[] not null default '{}';
create index deposits_pending on deposits (network) where state = 'pending';

-- Since when the scan has stood at the head without a break: what is not there by then did not come.
-- Empty while blocks are read, after a node failed, and after the lead changed.
alter table chain_cursors add column standing_since timestamptz;
