package query

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Calls returns the AI calls that the filter chooses, the newest first.
func (db *DB) Calls(ctx context.Context, f Filter) (*Rows, error) {
	return db.list(ctx, callRelation(), &f)
}

// Events returns the events that the filter chooses, the newest first.
func (db *DB) Events(ctx context.Context, f Filter) (*Rows, error) {
	return db.list(ctx, eventRelation(), &f)
}

// CountCalls counts the AI calls that the filter chooses, whatever its Limit.
func (db *DB) CountCalls(ctx context.Context, f Filter) (int64, error) {
	return db.count(ctx, callRelation(), &f)
}

// CountEvents counts the events that the filter chooses, whatever its Limit.
func (db *DB) CountEvents(ctx context.Context, f Filter) (int64, error) {
	return db.count(ctx, eventRelation(), &f)
}

// Event returns the whole of the event with an id: a member for each column that isn't null, in the order of the table;
// JSON columns are json.RawMessage. There may be several: events of different accounts. Without any it returns ErrNotFound.
func (db *DB) Event(ctx context.Context, id string) ([]Object, error) {
	if strings.Contains(id, "*") {
		return nil, &Error{Kind: Invalid, Construct: id, Message: "an event's id has no *"}
	}
	r := eventRelation()
	rows, err := db.list(ctx, r, &Filter{Fields: map[string]string{"eventID": id}, Columns: []string{"*"}})
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []Object
	for rows.Next() {
		var event Object
		for i, v := range rows.Values() {
			if v == nil {
				continue
			}
			if text, ok := v.(string); ok && r.columns[i].json {
				v = rawJSON(text)
			}
			event = append(event, Member{r.columns[i].name, v})
		}
		events = append(events, event)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if events == nil {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	return events, nil
}

// list runs a ready-made question.
func (db *DB) list(ctx context.Context, r *relation, f *Filter) (*Rows, error) {
	w, err := r.where(f)
	if err != nil {
		return nil, err
	}
	selected, err := r.selected(f.Columns)
	if err != nil {
		return nil, err
	}
	order := []string{quoteName(r.time) + " DESC NULLS LAST"}
	for _, name := range r.order {
		order = append(order, quoteName(name))
	}
	text := "SELECT " + selected + " FROM " + r.from(db, f) + " AS r" + w.sql() + " ORDER BY " + strings.Join(order, ", ")
	if f.Limit > 0 {
		text += " LIMIT ?"
		w.args = append(w.args, f.Limit)
	}
	if err := db.fetch(ctx, r.name, r.demand(f)); err != nil {
		return nil, err
	}
	return db.ask(ctx, text, w.args)
}

// selected writes the columns asked for; a path is called as it was asked for.
func (r *relation) selected(columns []string) (string, error) {
	if len(columns) == 0 {
		columns = r.short
	}
	var parts []string
	for _, name := range columns {
		if name == "*" {
			r.verdict = true
			for i := range r.columns {
				parts = append(parts, quoteName(r.columns[i].name))
			}
			continue
		}
		ref, err := r.resolve(name)
		if err != nil {
			return "", err
		}
		expr := ref.expr
		for _, arg := range ref.args { // the path of a JSON value
			path, _ := arg.(string)
			expr = strings.Replace(expr, "?", quoteText(path), 1)
		}
		parts = append(parts, expr+" AS "+quoteName(name))
	}
	return strings.Join(parts, ", "), nil
}

func (db *DB) count(ctx context.Context, r *relation, f *Filter) (int64, error) {
	w, err := r.where(f)
	if err != nil {
		return 0, err
	}
	if err := db.fetch(ctx, r.name, r.demand(f)); err != nil {
		return 0, err
	}
	var n int64
	err = db.each(ctx, "SELECT count(*) FROM "+r.from(db, f)+" AS r"+w.sql(), w.args, func(v []any) {
		n, _ = v[0].(int64)
	})
	return n, err
}

// ask runs a statement of this package.
func (db *DB) ask(ctx context.Context, text string, args []any) (*Rows, error) {
	s, err := db.open(ctx)
	if err != nil {
		return nil, err
	}
	statement, err := s.prepare(text, args)
	if err == nil {
		var rows *Rows
		if rows, err = s.rows(statement, args, nil); err == nil {
			return rows, nil
		}
	}
	err = s.failed(err, "", nil)
	s.close()
	return nil, err
}

// each runs a statement of this package and hands on its rows.
func (db *DB) each(ctx context.Context, text string, args []any, row func(values []any)) error {
	rows, err := db.ask(ctx, text, args)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		row(rows.Values())
	}
	return rows.Err()
}

// Invocation returns what model invocation logs tell of a call, given the request's id, the account and Region called, and about when
// that was: a member for each column that isn't null. nil when they tell nothing.
func (db *DB) Invocation(ctx context.Context, requestID, account, region string, at time.Time) (Object, error) {
	const form = "2006-01-02 15:04:05Z07:00"
	if requestID == "" || at.IsZero() {
		return nil, nil
	}
	at = at.UTC()
	rows, err := db.Query(ctx, fmt.Sprintf(`SELECT * FROM invocations WHERE request_id = ? AND account = ? AND region = ?
		AND time >= TIMESTAMPTZ '%s' AND time <= TIMESTAMPTZ '%s'`, at.Add(-streamTime).Format(form), at.Add(streamTime).Format(form)), requestID, account, region)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found Object
	for rows.Next() && found == nil {
		for i, v := range rows.Values() {
			if v != nil {
				found = append(found, Member{rows.Columns()[i].Name, v})
			}
		}
	}
	return found, rows.Err()
}
