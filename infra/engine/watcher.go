package engine

import (
	"maps"
	"slices"
	"strings"

	"github.com/aitrail/aitrail/infra/program"
	"github.com/aitrail/aitrail/internal/provision/companion"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
)

// watcher turns the engine's events into messages.
type watcher struct {
	errors []string // what was said as an error
}

func (w *watcher) messages(e events.EngineEvent) []companion.Message {
	switch {
	case e.Error != nil:
		w.errors = append(w.errors, e.Error.Error())
	case e.ResourcePreEvent != nil:
		phase := companion.Started
		if e.ResourcePreEvent.Planning {
			phase = companion.Planned
		}
		return step(e.ResourcePreEvent.Metadata, phase)
	case e.ResOutputsEvent != nil && !e.ResOutputsEvent.Planning:
		return step(e.ResOutputsEvent.Metadata, companion.Done)
	case e.ResOpFailedEvent != nil:
		return step(e.ResOpFailedEvent.Metadata, companion.Failed)
	case e.DiagnosticEvent != nil:
		d := e.DiagnosticEvent
		text := strings.TrimSpace(colors.Never.Colorize(d.Message))
		if d.Ephemeral || text == "" || d.Severity == "debug" {
			return nil
		}
		severity := strings.TrimSuffix(d.Severity, "#err")
		name := shortName(d.URN)
		if severity == "error" {
			said := text
			if name != "" {
				said = name + ": " + text
			}
			if !slices.Contains(w.errors, said) && !strings.HasPrefix(text, "update failed") && !strings.HasPrefix(text, "preview failed") {
				w.errors = append(w.errors, said)
			}
		}
		return []companion.Message{{Type: companion.Diagnostic, Severity: severity, Text: text, Name: name}}
	case e.SummaryEvent != nil:
		m := companion.Message{Type: companion.Summary, Changes: map[string]int{}}
		for op, n := range e.SummaryEvent.ResourceChanges {
			m.Changes[string(op)] = n
		}
		return []companion.Message{m}
	}
	return nil
}

// step is the message of a step, none for those of Pulumi's own: the stack, the provider and the component. Of a replacement
// there are three steps, of which the logical one is told.
func step(m apitype.StepEventMetadata, phase companion.Phase) []companion.Message {
	if strings.HasPrefix(m.Type, "pulumi:") || strings.HasPrefix(m.Type, "aitrail:") {
		return nil
	}
	switch m.Op {
	case apitype.OpCreateReplacement, apitype.OpDeleteReplaced:
		return nil
	}
	out := companion.Message{Type: companion.Step, Op: string(m.Op), Phase: phase, Kind: m.Type, Name: shortName(m.URN)}
	if m.New != nil {
		out.ID = m.New.ID
	} else if m.Old != nil {
		out.ID = m.Old.ID
	}
	if m.DetailedDiff != nil {
		out.Changed = slices.Sorted(maps.Keys(m.DetailedDiff))
	} else {
		out.Changed = m.Diffs
	}
	return []companion.Message{out}
}

// shortName is the name at the end of a URN without the component's: the ID in the desired state.
func shortName(urn string) string {
	name := urn[strings.LastIndex(urn, "::")+1:]
	name = strings.TrimPrefix(name, ":")
	return strings.TrimPrefix(name, program.Name+"-")
}
