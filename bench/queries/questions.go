package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/query"
	_ "github.com/duckdb/duckdb-go/v2" // the database/sql driver
)

// question is one question in the words of each side.
type question struct {
	name    string
	ours    string // of the lake's views
	parquet string // of the table sorted
	json    string // of the table records, %s
	members string // that json needs of a record
}

// ai chooses the calls of AI services from records, as far as their sources tell.
const ai = `regexp_matches(eventSource, '^(bedrock|sagemaker|comprehend|rekognition|textract|translate|polly|transcribe|lex|kendra|q|personalize)')`

// questions returns the six; two are about an event of the lake, from its middle.
func questions(ctx context.Context, db *query.DB) ([]question, error) {
	rows, err := ask(ctx, db, `SELECT event_id, strftime(time, '%Y-%m-%d %H:00:00'), user_identity.arn FROM calls
		WHERE user_identity.arn IS NOT NULL ORDER BY time OFFSET (SELECT count(*) // 2 FROM calls) LIMIT 1`)
	if err == nil && len(rows) != 1 {
		err = fmt.Errorf("%d rows", len(rows))
	}
	if err != nil {
		return nil, fmt.Errorf("choosing an event: %w", err)
	}
	cells := strings.Split(rows[0], "\t")
	id, arn := cells[0], cells[2]
	hour, err := time.Parse(time.DateTime, cells[1])
	if err != nil {
		return nil, err
	}
	span := fmt.Sprintf("'%s+00' AND \"eventTime\" < '%s+00'", hour.Format(time.DateTime), hour.Add(time.Hour).Format(time.DateTime))
	zoneless := strings.ReplaceAll(strings.ReplaceAll(span, "+00", ""), `"`, "")
	return []question{
		{
			"calls per actor and day",
			`SELECT actor, date_trunc('day', time), count(*) FROM calls GROUP BY ALL`,
			`SELECT actor, date_trunc('day', "eventTime"), count(*) FROM sorted WHERE call_role = 'primary' GROUP BY ALL`,
			`SELECT userIdentity.arn, date_trunc('day', eventTime), count(*) FROM %s WHERE ` + ai + ` GROUP BY ALL`,
			`userIdentity STRUCT(arn VARCHAR), eventTime TIMESTAMP, eventSource VARCHAR`,
		}, {
			"top models",
			`SELECT model_id, count(*) FROM calls WHERE model_id IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10`,
			`SELECT model_id, count(*) FROM sorted WHERE model_id IS NOT NULL AND call_role = 'primary' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10`,
			`SELECT requestParameters->>'$.modelId', count(*) FROM %s WHERE ` + ai + ` GROUP BY 1 ORDER BY 2 DESC LIMIT 10`,
			`requestParameters JSON, eventSource VARCHAR`,
		}, {
			"denials by hour",
			`SELECT date_trunc('hour', "eventTime"), count(*) FROM events WHERE outcome = 'denied' GROUP BY ALL`,
			`SELECT date_trunc('hour', "eventTime"), count(*) FROM sorted WHERE outcome = 'denied' GROUP BY ALL`,
			`SELECT date_trunc('hour', eventTime), count(*) FROM %s WHERE errorCode LIKE '%%AccessDenied%%' OR errorCode LIKE '%%Unauthorized%%' GROUP BY ALL`,
			`eventTime TIMESTAMP, errorCode VARCHAR`,
		}, {
			"one eventID",
			`SELECT * FROM events WHERE "eventID" = '` + id + `'`,
			`SELECT * FROM sorted WHERE "eventID" = '` + id + `'`,
			`SELECT * FROM %s WHERE eventID = '` + id + `'`,
			everyMember,
		}, {
			"one ARN in an hour",
			`SELECT "eventTime", "eventName", "sourceIPAddress", "errorCode" FROM events WHERE "userIdentity".arn = '` + arn + `' AND "eventTime" >= ` + span,
			`SELECT "eventTime", "eventName", "sourceIPAddress", "errorCode" FROM sorted WHERE "userIdentity".arn = '` + arn + `' AND "eventTime" >= ` + span,
			`SELECT eventTime, eventName, sourceIPAddress, errorCode FROM %s WHERE userIdentity.arn = '` + arn + `' AND eventTime >= ` + zoneless,
			`userIdentity STRUCT(arn VARCHAR), eventTime TIMESTAMP, eventName VARCHAR, sourceIPAddress VARCHAR, errorCode VARCHAR`,
		}, {
			"source addresses per actor",
			`SELECT actor, count(DISTINCT "sourceIPAddress") FROM events GROUP BY ALL`,
			`SELECT actor, count(DISTINCT "sourceIPAddress") FROM sorted GROUP BY ALL`,
			`SELECT userIdentity.arn, count(DISTINCT sourceIPAddress) FROM %s GROUP BY ALL`,
			`userIdentity STRUCT(arn VARCHAR), sourceIPAddress VARCHAR`,
		},
	}, nil
}

// everyMember is what DuckDB is told of a record that is wanted whole.
const everyMember = `eventVersion VARCHAR, userIdentity JSON, eventTime TIMESTAMP, eventSource VARCHAR, eventName VARCHAR, awsRegion VARCHAR,
	sourceIPAddress VARCHAR, userAgent VARCHAR, errorCode VARCHAR, errorMessage VARCHAR, requestParameters JSON, responseElements JSON,
	additionalEventData JSON, requestID VARCHAR, eventID VARCHAR, readOnly BOOLEAN, resources JSON, eventType VARCHAR, managementEvent BOOLEAN,
	recipientAccountId VARCHAR, serviceEventDetails JSON, eventCategory VARCHAR, tlsDetails JSON`

// overJSON is the question over the log files.
func (q *question) overJSON(dir string) string {
	records := fmt.Sprintf("(SELECT r.* FROM (SELECT unnest(Records) AS r FROM read_json(%s, format = 'unstructured', columns = {Records: %s})))",
		quote(filepath.Join(dir, "corpus", "**", "*.json.gz")), quote("STRUCT("+q.members+")[]"))
	return fmt.Sprintf(q.json, records)
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// sorted writes the lake's events to one Parquet file, by DuckDB.
func sorted(ctx context.Context, dir, out string) error {
	l, err := lake.Open(ctx, dir, lake.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer l.Close()
	snapshot, err := l.Files(ctx, lake.Events)
	if err != nil {
		return err
	}
	paths := make([]string, len(snapshot.Files))
	for i, f := range snapshot.Files {
		paths[i] = quote(f.Path)
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, fmt.Sprintf(`COPY (SELECT *, CAST(NULL AS VARCHAR) AS verdict FROM read_parquet([%s], hive_partitioning = false, union_by_name = true) ORDER BY "eventTime")
		TO %s (FORMAT parquet, COMPRESSION zstd)`, strings.Join(paths, ", "), quote(filepath.Join(out, "events.parquet"))))
	return err
}

// duck is DuckDB with the sorted file.
type duck struct {
	*sql.DB
	parquet string
}

func openDuck(ctx context.Context, dir string) (*duck, error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, err
	}
	d := &duck{db, filepath.Join(dir, "parquet", "events.parquet")}
	for _, statement := range []string{
		"SET GLOBAL TimeZone = 'UTC'", "SET GLOBAL memory_limit = '1GiB'", "SET GLOBAL parquet_metadata_cache = true",
		"CREATE VIEW sorted AS SELECT * FROM read_parquet(" + quote(d.parquet) + ")",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// ask returns the rows as sorted text.
func (d *duck) ask(ctx context.Context, text string) ([]string, error) {
	rows, err := d.QueryContext(ctx, text)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	cells := make([]any, len(columns))
	for i := range cells {
		cells[i] = new(any)
	}
	var answer []string
	for rows.Next() {
		if err := rows.Scan(cells...); err != nil {
			return nil, err
		}
		line := make([]string, len(cells))
		for i, c := range cells {
			line[i] = cell(*c.(*any))
		}
		answer = append(answer, strings.Join(line, "\t"))
	}
	slices.Sort(answer)
	return answer, rows.Err()
}

// cell is a value of either side as text. Values with members are not compared.
func cell(v any) string {
	switch v := v.(type) {
	case time.Time, nil, string:
		return query.Text(v)
	case []byte:
		if id, err := uuid.FromBytes(v); err == nil {
			return id.String()
		}
	case map[string]any, []any, query.Object:
		return "…"
	}
	return fmt.Sprint(v)
}
