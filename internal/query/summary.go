package query

import (
	"context"
	"encoding/json"
	"time"
)

// Summary tells in short which AI calls there were.
type Summary struct {
	Calls       int64     `json:"calls"`
	Denied      int64     `json:"denied"`
	Changed     int64     `json:"changed"`
	First, Last time.Time `json:"-"`

	ByService []Group `json:"by_service"` // each the largest first
	ByModel   []Group `json:"by_model"`   // of calls that name a model
	ByActor   []Group `json:"by_actor"`
	ByRegion  []Group `json:"by_region"`
	ByOutcome []Group `json:"by_outcome"`

	Denials []Denial `json:"denials"` // the most frequent first, at most 20
	Changes []Change `json:"changes"` // the newest first, at most 20
}

// Group is the calls that have something in common.
type Group struct {
	Name         string    `json:"name"`
	Calls        int64     `json:"calls"`
	Failed       int64     `json:"failed"` // outcome other than ok
	InputTokens  int64     `json:"input_tokens"`
	OutputTokens int64     `json:"output_tokens"`
	Last         time.Time `json:"last"`
}

// Denial is the denied calls of one actor to one operation.
type Denial struct {
	Actor     string    `json:"actor"`
	Service   string    `json:"ai_service"`
	Operation string    `json:"operation"`
	Region    string    `json:"region"`
	ErrorCode string    `json:"error_code"`
	Calls     int64     `json:"calls"`
	Last      time.Time `json:"last"`
}

// Change is a call that changed what other calls depend on, or who may make them (operation classes configuration and
// access), and that took effect.
type Change struct {
	Time      time.Time `json:"time"`
	Actor     string    `json:"actor"`
	Service   string    `json:"ai_service"`
	Operation string    `json:"operation"`
	Region    string    `json:"region"`
	EventID   string    `json:"event_id"`
}

// listed is how many denials and changes a summary lists.
const listed = 20

// Summary sums up the calls that the filter chooses. Its Limit, and its Columns, are not heeded.
func (db *DB) Summary(ctx context.Context, f Filter) (*Summary, error) {
	r := callRelation()
	w, err := r.where(&f)
	if err != nil {
		return nil, err
	}
	if err := db.fetch(ctx, r.name, r.demand(&f)); err != nil {
		return nil, err
	}
	from := r.from(db, &f) + " AS r" + w.sql()
	s := &Summary{}
	if err := db.groups(ctx, s, from, w.args); err != nil {
		return nil, err
	}
	if err := db.denials(ctx, s, from, w.args); err != nil {
		return nil, err
	}
	return s, db.changes(ctx, s, from, w.args)
}

// groups counts calls by each of five columns, and altogether, in one reading.
func (db *DB) groups(ctx context.Context, s *Summary, from string, args []any) error {
	const text = `SELECT grouping_id(ai_service, model_id, actor, region, outcome),
		coalesce(ai_service, model_id, actor, region, outcome),
		count(*), count(*) FILTER (outcome <> 'ok'), count(*) FILTER (outcome = 'denied'),
		coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), min(time), max(time)
	FROM (SELECT * FROM `
	const group = `) GROUP BY GROUPING SETS ((ai_service), (model_id), (actor), (region), (outcome), ()) ORDER BY 3 DESC, 2`
	return db.each(ctx, text+from+group, args, func(v []any) {
		g := Group{Calls: count(v[2]), Failed: count(v[3]), InputTokens: count(v[5]), OutputTokens: count(v[6]), Last: moment(v[8])}
		g.Name, _ = v[1].(string)
		into := map[int64]*[]Group{0b01111: &s.ByService, 0b10111: &s.ByModel, 0b11011: &s.ByActor, 0b11101: &s.ByRegion, 0b11110: &s.ByOutcome}
		switch list := into[count(v[0])]; {
		case list == nil:
			s.Calls, s.Denied, s.First, s.Last = g.Calls, count(v[4]), moment(v[7]), g.Last
		case list == &s.ByModel && v[1] == nil: // not about a model
		default:
			*list = append(*list, g)
		}
	})
}

func (db *DB) denials(ctx context.Context, s *Summary, from string, args []any) error {
	const text = `SELECT actor, ai_service, operation, region, error_code, count(*), max(time) FROM (SELECT * FROM `
	const group = `) WHERE outcome = 'denied' GROUP BY ALL ORDER BY 6 DESC, 7 DESC, 1, 2, 3, 4, 5 LIMIT ?`
	return db.each(ctx, text+from+group, append(args[:len(args):len(args)], listed), func(v []any) {
		s.Denials = append(s.Denials, Denial{
			Actor: Text(v[0]), Service: Text(v[1]), Operation: Text(v[2]), Region: Text(v[3]), ErrorCode: Text(v[4]),
			Calls: count(v[5]), Last: moment(v[6]),
		})
	})
}

func (db *DB) changes(ctx context.Context, s *Summary, from string, args []any) error {
	// Not count(*) OVER (): DuckDB 1.5.5 fails there now and then, on a busy machine, with an internal error.
	const text = `WITH changed AS MATERIALIZED (SELECT time, actor, ai_service, operation, region, event_id, source_object, source_index FROM (SELECT * FROM `
	const rest = `) WHERE operation_class IN ('configuration', 'access') AND outcome = 'ok' AND read_only IS DISTINCT FROM true)
		SELECT time, actor, ai_service, operation, region, event_id, (SELECT count(*) FROM changed) FROM changed
		ORDER BY time DESC, source_object, source_index LIMIT ?`
	return db.each(ctx, text+from+rest, append(args[:len(args):len(args)], listed), func(v []any) {
		s.Changed = count(v[6])
		s.Changes = append(s.Changes, Change{
			Time: moment(v[0]), Actor: Text(v[1]), Service: Text(v[2]), Operation: Text(v[3]), Region: Text(v[4]), EventID: Text(v[5]),
		})
	})
}

func count(v any) int64 {
	n, _ := v.(int64)
	return n
}

func moment(v any) time.Time {
	t, _ := v.(time.Time)
	return t
}

func rawJSON(text string) any {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return text
}
