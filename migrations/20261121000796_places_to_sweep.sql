-- Where the treasury looks for coins to move: without this list every look would read every address
-- that ever had a deposit.
--
-- An address enters with each final deposit and again when a move that emptied it is undone. It
-- leaves when nothing is left to take from it and its newest move has been final for a day: what
-- is undone later enters it again all the same.

create table places_to_sweep (
  network network_id not null,
  asset   asset_code not null,
  address text not null check (length(address) between 1 and 128),
  since   timestamptz not null,                   -- it entered, the newest time
  primary key (network, asset, address)
);
grant select, insert, update, delete on places_to_sweep to chukta_app;

create index deposits_final_at on deposits (network, asset, address) where state = 'confirmed';
create index moves_of_gas on moves (network, to_address) where purpose = 'gas';

-- The row is written even where it stands: who takes it out meanwhile sees that it is new again.
create function note_place() returns trigger language plpgsql as $$
begin
  insert into places_to_sweep as p (network, asset, address, since)
    values (new.network, new.asset, new.address, now())
    on conflict (network, asset, address) do update set since = excluded.since;
  return new;
end $$;
create trigger place_to_sweep after insert or update of state on deposits
  for each row when (new.state = 'confirmed') execute function note_place();

create function note_places_again() returns trigger language plpgsql as $$
begin
  insert into places_to_sweep as p (network, asset, address, since)
    select distinct d.network, d.asset, d.address, now() from deposits d
      where d.network = new.network and d.address = new.address and d.state = 'confirmed'
    on conflict (network, asset, address) do update set since = excluded.since;
  return new;
end $$;
create trigger place_to_sweep_again after update of spent on move_sources
  for each row when (old.spent and not new.spent) execute function note_places_again();

insert into places_to_sweep (network, asset, address, since)
  select distinct network, asset, address, now() from deposits where state = 'confirmed';

-- Final deposits that no move has taken or is taking, by address. An address that was emptied counts
-- again when more came to it than its moves found there, whenever that was: a deposit may become
-- final between the look at an address and the plan of its move.
create view sweepable as
  select p.network, p.asset, p.address, a.path_index,
    array_agg(d.tx_id || ':' || d.ordinal) as outputs, sum(d.amount_minor) as total
  from places_to_sweep p
  join deposit_addresses a on a.network = p.network and a.address = p.address
  join deposits d on d.network = p.network and d.asset = p.asset and d.address = p.address
    and d.state = 'confirmed'
  where not exists (select from move_sources s
      where s.network = p.network and s.address = p.address
        and (s.live or s.spent) and s.source = d.tx_id || ':' || d.ordinal)
    and not exists (select from move_sources s
      where s.network = p.network and s.address = p.address
        and s.live and s.source = p.address)
  group by p.network, p.asset, p.address, a.path_index
  having not exists (select from move_sources s join moves m on m.id = s.move_id
      where s.network = p.network and s.address = p.address and s.source = p.address
        and s.spent and m.asset = p.asset)
    or sum(left_of(d)) + coalesce((select sum(m.arrived_minor) from moves m
        where m.network = p.network and m.asset = p.asset and m.to_address = p.address
          and m.purpose = 'gas' and m.state = 'credited'), 0)
      > coalesce((select sum(case when m.asset = p.asset and s.spent then s.amount_minor
          else case when m.asset = p.asset and m.state <> 'failed'
              then m.arrived_minor else 0 end
            + case when m.fee_asset = p.asset then coalesce(m.cost_minor, 0) else 0 end end)
        from moves m join move_sources s on s.move_id = m.id
        where s.network = p.network and s.address = p.address and s.source = p.address
          and m.state in ('final', 'credited', 'failed')), 0);
grant select on sweepable to chukta_app;
