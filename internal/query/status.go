package query

import (
	"context"
	"time"
)

// Status tells what a lake holds.
type Status struct {
	Snapshot    time.Time `json:"snapshot"`    // of the last commit; zero for an empty lake
	Rows        int64     `json:"rows"`        // events in the lake
	Bytes       int64     `json:"bytes"`       // of the data files of events
	DataFiles   int64     `json:"data_files"`  // of events
	LogFiles    int64     `json:"log_files"`   // of events, quarantined ones included, and Answers
	Answers     int64     `json:"answers"`     // of log groups and the event history, whose events came one by one; no digest speaks of them
	Digests     int64     `json:"digests"`     // digest files
	Invocations int64     `json:"invocations"` // rows of invocations
	LogBytes    int64     `json:"log_bytes"`   // as stored
	Events      int64     `json:"events"`      // records in the log files
	Duplicates  int64     `json:"duplicates"`  // of these, records that the lake had already from another file
	Quarantined int64     `json:"quarantined"` // files of all kinds
	First       time.Time `json:"first"`       // eventTime of the earliest event
	Last        time.Time `json:"last"`        // of the latest
	Collected   time.Time `json:"collected"`   // when the last log file was collected

	Retention Retention `json:"retention"`

	Places     []Place      `json:"places"`
	Verdicts   []Verdict    `json:"verdicts"`
	Quarantine []Quarantine `json:"quarantine"` // the newest first, at most 20
}

// Retention tells how long events are kept, and what has expired.
type Retention struct {
	Days         int       `json:"days"`           // 0 for ever
	LogFilesDays int       `json:"log_files_days"` // of the rows of log_files
	Before       time.Time `json:"expired_before,omitzero"`
	At           time.Time `json:"expired_at,omitzero"` // when events expired last
	Rows         int64     `json:"expired_rows"`        // events, since the lake was made
}

// Place is what came from one account and Region.
type Place struct {
	Account   string    `json:"account"`
	Region    string    `json:"region"`
	LogFiles  int64     `json:"log_files"`
	Events    int64     `json:"events"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Collected time.Time `json:"collected"`
	// Lag is how long after its last event the place's newest log file was collected; 0 when unknown. In JSON it is seconds.
	Lag        time.Duration `json:"-"`
	LagSeconds float64       `json:"lag_seconds"`
}

// Verdict is how many log files, Answers not among them, have a digest verdict; Verdict is "" for those that nobody looked at yet.
type Verdict struct {
	Verdict  string `json:"verdict"`
	LogFiles int64  `json:"log_files"`
}

// Quarantine is a log file that couldn't be decoded.
type Quarantine struct {
	Object    string    `json:"object"`
	Reason    string    `json:"reason"`
	Collected time.Time `json:"collected"`
}

// OfEvents is the condition, in SQL, for those rows of log_files that are log files of events: others are digests and model invocation
// logs.
const OfEvents = `coalesce(kind, '') NOT IN ('CloudTrail-Digest', 'BedrockModelInvocationLogs')`

// oneByOne is the condition for rows of log_files that are answers of log groups and the event history.
const oneByOne = `regexp_matches(object, '^(logs|history):')`

// Status sums up what has been collected.
func (db *DB) Status(ctx context.Context) (*Status, error) {
	s := &Status{Snapshot: db.events.Time, Rows: db.events.Rows, Bytes: db.events.Bytes, DataFiles: int64(len(db.events.Files))}
	expired := db.events.Expired
	s.Retention = Retention{db.events.RetentionDays, db.logFiles.RetentionDays, expired.Before, expired.At, expired.Total}
	if err := db.fetch(ctx, "log_files", &everything); err != nil {
		return nil, err
	}
	s.Digests, s.Invocations = db.digests.Rows, db.invocations.Rows
	all := "(" + db.viewSQL("log_files", &everything) + ")"
	logFiles := "(SELECT * FROM " + all + " WHERE " + OfEvents + ")"
	err := db.each(ctx, `SELECT count(*), coalesce(sum(size), 0), coalesce(sum(events), 0), coalesce(sum(duplicates), 0),
			(SELECT count(*) FROM `+all+` WHERE status = 'quarantined'), min(first_event), max(last_event), max(collected_at),
			count(*) FILTER (`+oneByOne+`)
		FROM `+logFiles, nil, func(v []any) {
		s.LogFiles, s.LogBytes, s.Events, s.Duplicates, s.Quarantined = count(v[0]), count(v[1]), count(v[2]), count(v[3]), count(v[4])
		s.First, s.Last, s.Collected, s.Answers = moment(v[5]), moment(v[6]), moment(v[7]), count(v[8])
	})
	if err != nil {
		return nil, err
	}
	err = db.each(ctx, `SELECT account, region, count(*), coalesce(sum(events), 0), min(first_event), max(last_event), max(collected_at),
			coalesce(epoch(arg_max(collected_at - last_event, last_event)), 0)
		FROM `+logFiles+` WHERE status = 'collected' GROUP BY ALL ORDER BY ALL`, nil, func(v []any) {
		p := Place{Account: Text(v[0]), Region: Text(v[1]), LogFiles: count(v[2]), Events: count(v[3]),
			First: moment(v[4]), Last: moment(v[5]), Collected: moment(v[6])}
		p.LagSeconds, _ = v[7].(float64)
		p.Lag = time.Duration(p.LagSeconds * float64(time.Second))
		s.Places = append(s.Places, p)
	})
	if err != nil {
		return nil, err
	}
	err = db.each(ctx, `SELECT verdict, count(*) FROM `+logFiles+` WHERE status = 'collected' AND NOT `+oneByOne+` GROUP BY ALL ORDER BY ALL`, nil, func(v []any) {
		s.Verdicts = append(s.Verdicts, Verdict{Text(v[0]), count(v[1])})
	})
	if err != nil {
		return nil, err
	}
	return s, db.each(ctx, `SELECT object, reason, collected_at FROM `+all+` WHERE status = 'quarantined'
		ORDER BY collected_at DESC, object LIMIT ?`, []any{listed}, func(v []any) {
		s.Quarantine = append(s.Quarantine, Quarantine{Text(v[0]), Text(v[1]), moment(v[2])})
	})
}
