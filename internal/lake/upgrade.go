package lake

import (
	"context"
	"strconv"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// formatVersion is the version of the format that a table has.
func (v *loaded) formatVersion() int { return v.Properties().GetInt(propVersion, 0) }

// upgrade brings the tables of an older lake up to date: those that it lacks are made, and the schema and the version of the
// others change, by one commit each. Data files stay as they are; columns that they don't have are null. It goes on where it was
// cut off.
func (l *Lake) upgrade(ctx context.Context) error {
	return retry(ctx, func() error {
		for _, name := range sideTables {
			if err := l.createTable(name); err != nil {
				return err
			}
		}
		events, files, err := l.refresh()
		if err != nil {
			return err
		}
		tables := []*loaded{files, events}
		for _, name := range sideTables {
			side, err := l.table(name)
			if err != nil {
				return err
			}
			tables = append([]*loaded{side}, tables...)
		}
		for _, t := range tables {
			if t.formatVersion() >= Version {
				continue
			}
			if err := t.upgrade(ctx); err != nil {
				return err
			}
			l.log.Info("table brought up to date", "table", t.name, "from", t.formatVersion(), "to", Version)
		}
		_, _, err = l.refresh()
		return err
	})
}

func (v *loaded) upgrade(ctx context.Context) error {
	reqs := []table.Requirement{table.AssertTableUUID(v.Metadata().TableUUID())}
	updates := []table.Update{table.NewSetPropertiesUpdate(iceberg.Properties{propVersion: strconv.Itoa(Version), propVectorized: "false"})}
	schema := iceberg.NewSchema(v.Schema().ID+1, icebergSchema(rowTypes[v.name]).Fields()...)
	if !schema.Equals(v.Schema()) {
		reqs = append(reqs, table.AssertCurrentSchemaID(v.Schema().ID), table.AssertLastAssignedFieldID(v.Metadata().LastColumnID()))
		updates = append(updates, table.NewAddSchemaUpdate(schema), table.NewSetCurrentSchemaUpdate(-1))
	}
	return v.commit(ctx, reqs, updates)
}
