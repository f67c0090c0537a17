package query

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/duckdb/duckdb-go/v2"
)

var errEnd = io.EOF

// session is a connection to DuckDB for one query and what has to be asked to prepare it. It takes one of the DB's
// slots until it is closed.
type session struct {
	db     *DB
	conn   *duckdb.Conn
	ctx    context.Context // the caller's, ended with ErrTimeout as its cause when time is over
	cancel context.CancelCauseFunc
	timer  *time.Timer

	abandoned bool // it still runs, and is closed when that ends
}

// grace is how long after its end a session waits for DuckDB to stop. DuckDB looks for that between the calls of a function
// for some thousand values each, but not within one.
const grace = 2 * time.Second

func (db *DB) open(ctx context.Context) (*session, error) {
	select {
	case db.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := db.connector.Connect(ctx)
	if err != nil {
		<-db.slots
		return nil, fmt.Errorf("connecting to DuckDB: %w", err)
	}
	s := &session{db: db, conn: conn.(*duckdb.Conn)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	if db.timeout > 0 {
		s.timer = time.AfterFunc(db.timeout, func() { s.cancel(ErrTimeout) })
	}
	return s, nil
}

func (s *session) close() error {
	if s.abandoned {
		return nil
	}
	return s.end()
}

func (s *session) end() error {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.cancel(nil)
	err := s.conn.Close()
	<-s.db.slots
	return err
}

// failed tells an error of the session: the caller's cancellation, the timeout, or DuckDB's words about the query; place
// tells where in it a byte of what ran stands.
func (s *session) failed(err error, query string, place func(at int) int) error {
	if own := (*Error)(nil); errors.As(err, &own) {
		return own
	}
	if s.ctx.Err() != nil {
		if errors.Is(context.Cause(s.ctx), ErrTimeout) {
			return timeoutError(s.db.timeout)
		}
		return s.ctx.Err()
	}
	return explain(err, query, place)
}

// result is the driver's rows and the statement they belong to.
type result struct {
	driver.Rows
	statement *duckdb.Stmt
}

func (r *result) Close() error { return errors.Join(r.Rows.Close(), r.statement.Close()) }

// query runs one statement that returns rows.
func (s *session) query(text string, args []any) (*result, error) {
	statement, err := s.prepare(text, args)
	if err != nil {
		return nil, err
	}
	return s.execute(statement, args)
}

// prepare makes one statement ready; it errs on several, and on those that do other things than reading.
func (s *session) prepare(text string, args []any) (*duckdb.Stmt, error) {
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	prepared, err := s.conn.Prepare(text)
	if err != nil {
		return nil, err
	}
	statement := prepared.(*duckdb.Stmt)
	err = readsOnly(statement)
	if n := statement.NumInput(); err == nil && n != len(args) {
		err = &Error{Kind: Invalid, Message: fmt.Sprintf("the statement has %d parameters; %d values were given", n, len(args))}
	}
	if err != nil {
		return nil, errors.Join(err, statement.Close())
	}
	return statement, nil
}

// execute runs a prepared statement, which the result, or the error, closes.
func (s *session) execute(statement *duckdb.Stmt, args []any) (*result, error) {
	values, err := bind(args)
	if err != nil {
		return nil, errors.Join(err, statement.Close())
	}
	type answer struct {
		rows driver.Rows
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		rows, err := statement.QueryContext(s.ctx, values)
		done <- answer{rows, err}
	}()
	var a answer
	select {
	case a = <-done:
	case <-s.ctx.Done():
		select {
		case a = <-done:
		case <-time.After(s.db.grace):
			s.abandoned = true
			s.db.abandoned.Add(1)
			go func() {
				if a := <-done; a.err == nil {
					a.err = a.rows.Close()
				}
				_ = errors.Join(statement.Close(), s.end()) // nobody is left to tell
				s.db.abandoned.Add(-1)
			}()
			return nil, s.ctx.Err()
		}
	}
	if a.err != nil {
		return nil, errors.Join(a.err, statement.Close())
	}
	return &result{a.rows, statement}, nil
}

// readsOnly is the last guard: DuckDB's own word for the kind of statement.
func readsOnly(statement *duckdb.Stmt) error {
	kind, err := statement.StatementType()
	if err != nil {
		return err
	}
	if kind != duckdb.STATEMENT_TYPE_SELECT && kind != duckdb.STATEMENT_TYPE_EXPLAIN {
		return &Error{Kind: NotAllowed, Message: "only SELECT can be run"}
	}
	return nil
}

func bind(args []any) ([]driver.NamedValue, error) {
	values := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		value, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return nil, &Error{Kind: Invalid, Message: fmt.Sprintf("parameter %d: a value of type %T can't be passed", i+1, arg)}
		}
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: value}
	}
	return values, nil
}

// one runs a statement that returns one text.
func (s *session) one(text string, args ...any) (string, error) {
	rows, err := s.query(text, args)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	dst := make([]driver.Value, 1)
	if err := rows.Next(dst); err != nil {
		return "", err
	}
	value, _ := dst[0].(string)
	return value, nil
}

// rows runs a statement whose result the caller reads; it closes the session when it is closed. Without columns they are
// taken from the result.
func (s *session) rows(statement *duckdb.Stmt, args []any, columns []Column) (*Rows, error) {
	res, err := s.execute(statement, args)
	if err != nil {
		return nil, err
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	names := res.Columns()
	types, _ := res.Rows.(driver.RowsColumnTypeDatabaseTypeName)
	if columns == nil {
		for i, name := range names {
			columns = append(columns, newColumn(name, types.ColumnTypeDatabaseTypeName(i)))
		}
	}
	for i := range columns {
		columns[i].Name = names[i]
	}
	return &Rows{session: s, result: res, columns: columns, raw: make([]driver.Value, len(names)), values: make([]any, len(names))}, nil
}
