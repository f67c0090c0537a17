package collect

import (
	"context"
	"fmt"
	"hash/maphash"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/aitrail/aitrail/internal/object"
)

// Times of a log group. Events come in the order of their timestamps but for some that are stored late, so each look
// begins before the last event: a little before it every time, and further back now and then. What is still later is in
// the trail's log files.
const (
	groupPoll   = 3 * time.Second
	groupNear   = 30 * time.Second
	groupFar    = 15 * time.Minute
	groupFarOff = time.Minute // between looks that go far
	groupSince  = time.Hour
	farShare    = 10 // a far look is waited for so many times as long as the last one took
)

// group reads a trail's log group in CloudWatch Logs with FilterLogEvents
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html). Its messages are
// CloudTrail's records, one each; events over 256 KB are not among them.
type group struct {
	base
	group   string // name
	arn     string
	region  string
	client  *cloudwatchlogs.Client
	keeper  *keeper
	seen    seen
	high    time.Time // the latest timestamp seen
	begun   time.Time // the latest that was seen when this process began, until a far look went well
	farAt   time.Time // the end of the last far look
	farTook time.Duration
}

func newGroup(b base, name string) (feed, error) {
	g := &group{base: b, group: name}
	if strings.HasPrefix(name, "arn:") {
		f := strings.SplitN(name, ":", 7)
		if len(f) < 7 || f[2] != "logs" || f[5] != "log-group" {
			return nil, fmt.Errorf("source %q names no log group: arn:aws:logs:REGION:ACCOUNT:log-group:NAME", b.name)
		}
		g.region, g.group = f[3], strings.TrimSuffix(f[6], ":*")
	}
	return g, nil
}

func (g *group) open(ctx context.Context) (object.Store, error) {
	if g.keeper != nil {
		return nil, nil
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("AWS configuration: %w", err)
	}
	if g.region != "" {
		cfg.Region = g.region
	}
	g.client = cloudwatchlogs.NewFromConfig(cfg)
	pages := cloudwatchlogs.NewDescribeLogGroupsPaginator(g.client, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &g.group})
	for g.arn == "" && pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("log group %s: %w", g.group, err)
		}
		for _, found := range page.LogGroups {
			if aws.ToString(found.LogGroupName) == g.group {
				g.arn = strings.TrimSuffix(aws.ToString(found.Arn), ":*")
			}
		}
	}
	if g.arn == "" {
		return nil, fmt.Errorf("log group %s in %s: %w", g.group, cfg.Region, object.NoSuch("log group"))
	}
	k, err := g.keep(ctx, groupScheme+g.arn)
	g.keeper = k
	return nil, err
}

func (g *group) once(ctx context.Context) error {
	for range 2 { // what is new, and what came late
		if listed, err := g.look(ctx); listed != nil || err != nil {
			if err == nil {
				g.fail(g.name, listed)
			}
			return err
		}
	}
	return nil
}

func (g *group) follow(ctx context.Context) error {
	pause := groupPoll
	if g.settings.Poll > 0 {
		pause = g.settings.Poll
	}
	go g.keeper.run(ctx)
	for fails := 0; ; {
		listed, err := g.look(ctx)
		if err != nil {
			return err
		}
		g.looked(listed)
		wait := pause
		if listed != nil {
			fails++
			g.fail(g.name, listed)
			wait = max(pause, backoff(fails))
		} else {
			fails = 0
			g.c.status(g.source, func(s *SourceStatus) { s.Ready = true })
		}
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// from is where the next look begins. The first one of a process is no far one: it would bring what is new last, and
// processes that don't live long would never come to that.
func (g *group) from() (t time.Time, far bool) {
	now := g.now()
	if g.high.IsZero() {
		if span := g.keeper.span(""); span.known() {
			g.high, g.begun = span.To, span.To
		} else {
			since := g.settings.Since
			if since == 0 {
				since = groupSince
			}
			return now.Add(-since), false
		}
	} else if since := now.Sub(g.farAt); since >= max(groupFarOff, farShare*g.farTook) || since < 0 {
		high := g.high
		if !g.begun.IsZero() && g.begun.Before(high) {
			high = g.begun
		}
		g.seen.forget(high.Add(-groupFar))
		return high.Add(-groupFar), true
	}
	return g.high.Add(-groupNear), false
}

// look reads the log group from where it was read to. listed is the source's error.
func (g *group) look(ctx context.Context) (listed, err error) {
	from, far := g.from()
	if began := g.now(); far {
		defer func() { g.farAt, g.farTook = g.now(), g.now().Sub(began) }()
	}
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(g.client, &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: &g.group, StartTime: aws.Int64(from.UnixMilli()),
	})
	limit := g.now().Add(ahead)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("reading log group %s: %w", g.group, err), nil
		}
		if err := g.page(ctx, page.Events, limit); err != nil {
			return nil, err
		}
	}
	if far {
		g.begun = time.Time{}
	}
	return nil, nil
}

func (g *group) page(ctx context.Context, events []types.FilteredLogEvent, limit time.Time) error {
	d := delivery{object: groupScheme + g.arn + "@" + g.now().UTC().Format("20060102T150405.000000000Z"), region: regionOf(g.arn)}
	var ids []string
	var first, last time.Time
	for _, e := range events {
		at, id := time.UnixMilli(aws.ToInt64(e.Timestamp)).UTC(), aws.ToString(e.EventId)
		if !g.seen.add(id, at) {
			continue
		}
		d.records = append(d.records, aws.ToString(e.Message))
		ids = append(ids, id)
		if at.Before(limit) {
			first, last = widen(first, last, at, at)
		}
	}
	g.seen.trim()
	if len(d.records) == 0 {
		return nil
	}
	if last.After(g.high) {
		g.high = last
	}
	d.done = g.keeper.after("", func(s *cursorSpan) {
		if s.From.IsZero() {
			s.From = first
		}
		if last.After(s.To) {
			s.To = last
		}
	})
	return g.c.deliver(ctx, g.source, d, func(i int) string { return groupScheme + g.arn + "#" + ids[i] })
}

// regionOf is the Region in an ARN.
func regionOf(arn string) string {
	if f := strings.SplitN(arn, ":", 5); len(f) == 5 {
		return f[3]
	}
	return ""
}

func (g *group) close(ctx context.Context) error {
	if g.keeper == nil {
		return nil
	}
	return g.keeper.save(ctx)
}

// seen remembers ids for a while, so that what is read again isn't decoded again.
type seen struct {
	seed maphash.Seed
	ids  map[uint64]time.Time
}

// add notes an id; false when it is there already.
func (s *seen) add(id string, at time.Time) bool {
	if s.ids == nil {
		s.seed, s.ids = maphash.MakeSeed(), map[uint64]time.Time{}
	}
	if id == "" {
		return true // the lake tells
	}
	h := maphash.String(s.seed, id)
	if _, again := s.ids[h]; again {
		return false
	}
	s.ids[h] = at
	return true
}

// seenMost is how many ids are remembered.
const seenMost = 1 << 20

// trim forgets all ids when there are too many: the lake tells then.
func (s *seen) trim() {
	if len(s.ids) > seenMost {
		clear(s.ids)
	}
}

// forget forgets ids of before a time.
func (s *seen) forget(before time.Time) {
	for h, at := range s.ids {
		if at.Before(before) {
			delete(s.ids, h)
		}
	}
}
