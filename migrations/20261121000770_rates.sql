-- The history of rates by day, thinned with age; quotes that need nothing but their own row; what
-- changed about a rate, as events; the spread as versioned data.

-- ---------------------------------------------------------------- quotes keep their evidence
-- Ticks are thinned one day, and a quote must recompute for ever: it holds a copy of all it was
-- made from. `levels` is the part of the book that was walked, the last one whole.
alter table quotes
  add column tick_at      timestamptz,
  add column verdict      text check (verdict in ('good', 'degraded')),
  add column venues       text[],
  add column levels       jsonb,
  add column sources      jsonb,
  add column spread_parts jsonb,
  add column fee_bps      integer check (fee_bps between 0 and 10000),
  add column gst_bps      integer check (gst_bps between 0 and 10000);

alter table quotes disable trigger facts_never_change;
update quotes q set tick_at = t.at, verdict = nullif(t.verdict, 'unusable'), venues = '{}',
    levels = t.bids, sources = t.sources,
    spread_parts = jsonb_build_object('rule', q.spread_bps, 'moved', 0)
  from rate_ticks t where t.id = q.tick_id;
alter table quotes enable trigger facts_never_change;

-- The process of the version before this one writes no evidence: it is copied for it.
create function quotes_keep_evidence() returns trigger language plpgsql as $$
begin
  if new.levels is null then
    select t.at, nullif(t.verdict, 'unusable'), '{}', t.bids, t.sources,
           jsonb_build_object('rule', new.spread_bps, 'moved', 0)
      into strict new.tick_at, new.verdict, new.venues, new.levels, new.sources, new.spread_parts
      from rate_ticks t where t.id = new.tick_id limit 1;
  end if;
  return new;
end $$;
create trigger evidence before insert on quotes for each row execute function quotes_keep_evidence();

alter table quotes
  alter column tick_at set not null, alter column venues set not null,
  alter column levels set not null, alter column sources set not null,
  alter column spread_parts set not null;
-- The number of the tick stays, as a name for it; the tick itself may be thinned away.
alter table quotes drop constraint quotes_tick_id_fkey;

-- ---------------------------------------------------------------- ticks by day
-- What there was becomes the partition for every time without a day of its own, so that a missing
-- day neither loses nor holds up a tick. Days live in a schema that nobody else may look into:
-- everybody reads and writes `rate_ticks`.
create schema rates;
alter table rate_ticks
  add column routes jsonb,                    -- every way a sale can take, as one book each
  add column low    numeric check (low > 0),  -- of the middle, over the minutes before
  add column high   numeric check (high > 0);
drop trigger facts_never_change on rate_ticks;
create sequence rate_tick_numbers as bigint;
select setval('rate_tick_numbers', coalesce(max(id), 0) + 1, false) from rate_ticks;
alter table rate_ticks alter column id drop identity;
alter table rate_ticks set schema rates;

create table public.rate_ticks (like rates.rate_ticks including constraints including storage)
  partition by range (at);
alter table public.rate_ticks alter column id set default nextval('rate_tick_numbers');
alter table public.rate_ticks add constraint rate_ticks_number unique (id, at);
create index rate_ticks_newest on public.rate_ticks (base, id desc);
create index rate_ticks_in_time on public.rate_ticks (base, at);
alter table public.rate_ticks attach partition rates.rate_ticks default;

-- Nobody changes a tick. It may go only when it is older than a week, through the door below.
create function ticks_are_only_thinned() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and old.at < now() - interval '7 days'
     and current_setting('chukta.thinning', true) = pg_current_xact_id()::text then
    return old;
  end if;
  raise exception '% on % is forbidden', tg_op, tg_table_name using errcode = 'CK000';
end $$;
create trigger facts_never_change before update or delete on public.rate_ticks
  for each row execute function ticks_are_only_thinned();
create trigger facts_never_truncated before truncate on public.rate_ticks
  for each statement execute function forbid_change();
grant select, insert on public.rate_ticks to chukta_app;
grant usage on sequence rate_tick_numbers to chukta_app;

-- Which days were thinned, and what was left of them.
create table rate_thinnings (
  day     date not null,
  step    text not null check (step in ('5 minutes', '1 hour')),
  kept    bigint not null check (kept >= 0),
  removed bigint not null check (removed >= 0),
  at      timestamptz not null default now(),
  primary key (step, day)
);

-- A partition for each of the days to come, ahead of time. A day that has ticks already stays where
-- they are. Waits for nobody for long: whoever reads or writes rates comes first, and the next run
-- tries again.
create function keep_rate_days(p_now timestamptz) returns integer
language plpgsql security definer
set search_path = public, pg_temp set timezone = 'UTC' set lock_timeout = '2s' as $$
declare d date; part text; made integer := 0;
begin
  perform pg_advisory_xact_lock(hashtextextended('rate_days', 0));
  for n in 0..7 loop
    d := least(p_now, now() + interval '1 day')::date + n;
    part := 'ticks_' || to_char(d, 'YYYY_MM_DD');
    if to_regclass(format('rates.%I', part)) is null
       and not exists (select from rates.rate_ticks t where t.at >= d and t.at < d + 1) then
      execute format('create table rates.%I partition of public.rate_ticks
        for values from (%L) to (%L)', part, d::timestamptz, (d + 1)::timestamptz);
      made := made + 1;
    end if;
  end loop;
  return made;
end $$;

-- Thins whole days: of every asset and five minutes the first, the lowest and the highest tick stay
-- after a week, of every hour after a year. Ten days a call at most; answers how many ticks went.
-- The caller's clock may only be behind the database's.
create function thin_rate_ticks(p_now timestamptz) returns bigint
language plpgsql security definer
set search_path = public, pg_temp set timezone = 'UTC' set lock_timeout = '2s' as $$
declare s record; d date; upto date; left_days integer := 10; gone bigint; stay bigint;
  total bigint := 0;
begin
  perform pg_advisory_xact_lock(hashtextextended('rate_days', 0));
  perform set_config('chukta.thinning', pg_current_xact_id()::text, true);
  for s in select * from (values ('5 minutes', 300, interval '7 days'),
                                 ('1 hour', 3600, interval '365 days')) v(name, seconds, age) loop
    upto := (least(p_now, now()) - s.age)::date;
    select max(t.day) + 1 into d from rate_thinnings t where t.step = s.name;
    if d is null then
      select min(t.at)::date into d from rate_ticks t where t.at < upto;
    end if;
    while d < upto and left_days > 0 loop
      with ranked as (
        select t.id, t.at,
          row_number() over (span order by t.at, t.id) as nth,
          row_number() over (span order by t.bid + t.ask, t.at, t.id) as nth_low,
          row_number() over (span order by t.bid + t.ask desc nulls last, t.at, t.id) as nth_high
        from rate_ticks t where t.at >= d and t.at < d + 1
        window span as (partition by t.base, floor(extract(epoch from t.at) / s.seconds))
      ), removed as (
        delete from rate_ticks t using ranked r
        where t.id = r.id and t.at = r.at and t.at >= d and t.at < d + 1
          and r.nth > 1 and r.nth_low > 1 and r.nth_high > 1
        returning 1
      ) select (select count(*) from removed), (select count(*) from ranked) into gone, stay;
      insert into rate_thinnings (day, step, kept, removed)
        values (d, s.name, stay - gone, gone);
      total := total + gone;
      left_days := left_days - 1;
      d := d + 1;
    end loop;
  end loop;
  perform set_config('chukta.thinning', '', true);
  return total;
end $$;
revoke all on function keep_rate_days(timestamptz), thin_rate_ticks(timestamptz) from public;
grant execute on function keep_rate_days(timestamptz), thin_rate_ticks(timestamptz) to chukta_app;
grant select on rate_thinnings to chukta_app;
select keep_rate_days(now());

-- ---------------------------------------------------------------- what changed about a rate
-- One row when a verdict changes, or the reason why there is no price.
create table rate_events (
  id           bigint generated always as identity primary key,
  asset        asset_code not null check (asset <> 'INR'),
  from_verdict text check (from_verdict in ('good', 'degraded', 'unusable')),  -- null: the first
  to_verdict   text not null check (to_verdict in ('good', 'degraded', 'unusable')),
  reason       text,
  tick_id      bigint not null,
  at           timestamptz not null
);
create index rate_events_of on rate_events (asset, id desc);
create index rate_events_in_time on rate_events (at);

-- ---------------------------------------------------------------- the spread
-- What a quote keeps below the executable price: the newest row of the most specific scope counts;
-- one without a number gives way to the next scope, at last to the settings.
create table spreads (
  id          bigint generated always as identity primary key,
  merchant_id uuid references merchants (id),
  asset       asset_code check (asset <> 'INR'),
  bps         integer check (bps between 0 and 1000),
  actor       text not null check (length(actor) between 1 and 200),
  reason      text not null check (length(reason) between 1 and 500),
  at          timestamptz not null
);
create index spreads_of on spreads (merchant_id, asset, id desc);

do $$
declare t text;
begin
  foreach t in array array['rate_thinnings', 'rate_events', 'spreads'] loop
    execute format('create trigger facts_never_change before update or delete on %I for each row execute function forbid_change()', t);
    execute format('create trigger facts_never_truncated before truncate on %I for each statement execute function forbid_change()', t);
  end loop;
  foreach t in array array['rate_events', 'spreads'] loop
    execute format('grant select, insert on %I to chukta_app', t);
  end loop;
end $$;
